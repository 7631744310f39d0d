"""The unmodified Instructor on both SDKs, in each of its ways to ask for an object.

See checks.py and scripted.py for its environment.
"""

import logging
from importlib.metadata import version

import anthropic
import instructor
import openai
from instructor import Mode
from instructor.core.exceptions import InstructorRetryException
from pydantic import BaseModel, Field, field_validator

from checks import API_KEY, run, same
from scripted import BOTH, LYON, OSLO, USAGE, call, everywhere, say, schema_of, script, told, tools_of

# The library logs what it raises too.
logging.getLogger("instructor").setLevel(logging.CRITICAL)

ASK = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Weather?"}]
TALK = ["system: You are brief.", "user: Weather?"]

# Which SDK, and how the object is asked for. A schema for Anthropic is written into the prompt: the library looks for a
# parameter `output_format`, which this SDK no longer has.
BY_TOOL = ("openai tools", "openai responses_tools", "anthropic tools")
BY_TEXT = ("openai json_schema", "openai json", "openai md_json", "anthropic json")


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    days: int = Field(description="How many days.")

    @field_validator("days")
    @classmethod
    def few(cls, days):
        if days > 99:
            raise ValueError("too many days")
        return days


def made(way, how):
    """The client, with what its calls need beside the messages."""
    sdk, mode = how.split(" ")
    mode = Mode[mode.upper()]
    options = {"api_key": API_KEY, "max_retries": 0, "timeout": 30}
    if sdk == "anthropic":
        return instructor.from_anthropic(anthropic.Anthropic(base_url=way.base_url, **options), mode=mode), {"max_tokens": 500}
    return instructor.from_openai(openai.OpenAI(base_url=way.v1, **options), mode=mode), {}


def spent(answer, requests=1):
    """Fails unless the requests cost what their answers were said to cost."""
    usage = answer.usage
    given = {"input": getattr(usage, "prompt_tokens", None), "output": getattr(usage, "completion_tokens", None)}
    if given["input"] is None:
        cached = getattr(usage, "cache_read_input_tokens", None) or 0
        given = {"input": usage.input_tokens + cached, "output": usage.output_tokens}
    same(given, {name: requests * USAGE[name] for name in given}, "usage")


def as_said(how, value):
    """The step that gives this value, in the way in which it is asked for."""
    if how in BY_TOOL:
        return call("Weather", **value)
    text = Weather.model_construct(**value).model_dump_json()
    return say(f"```json\n{text}\n```" if how.endswith("md_json") else text)


@everywhere(how=BY_TOOL + BY_TEXT)
def an_object(way, how):
    client, more = made(way, how)
    with script(way, as_said(how, OSLO)) as asked:
        value, answer = client.create_with_completion(
            model=way.model, response_model=Weather, messages=ASK, max_retries=0, **more
        )
        same(value.model_dump(), OSLO, "object")
        spent(answer)
        (body,) = asked.bodies()
        if how in BY_TOOL:
            same(tools_of(body), ["Weather"], "tools")
            same(told(body), TALK, "the conversation")
        elif how.endswith("json_schema"):
            same(sorted(schema_of(body)["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(how=BY_TOOL + BY_TEXT)
def a_mistake_is_sent_back(way, how):
    """The answer that does not fit goes back with what is wrong with it, and the second one counts."""
    client, more = made(way, how)
    with script(way, as_said(how, {**LYON, "days": 100}), as_said(how, LYON)) as asked:
        value, answer = client.create_with_completion(
            model=way.model, response_model=Weather, messages=ASK, max_retries=1, **more
        )
        same(value.model_dump(), LYON, "object")
        first, second = asked.bodies()
        assert "too many days" in str(second) and "too many days" not in str(first), "the mistake was not told"


@everywhere(how=BY_TOOL + BY_TEXT)
def nothing_that_fits(way, how):
    client, more = made(way, how)
    with script(way, *[as_said(how, {**LYON, "days": 100})] * 2):
        try:
            client.create(model=way.model, response_model=Weather, messages=ASK, max_retries=1, **more)
        except InstructorRetryException as error:
            assert "too many days" in str(error), error
        else:
            raise AssertionError("nothing was raised")


@everywhere(how=("openai tools", "openai json_schema", "anthropic tools", "anthropic json"))
def an_object_in_pieces(way, how):
    client, more = made(way, how)
    with script(way, as_said(how, OSLO)):
        parts = list(client.create_partial(model=way.model, response_model=Weather, messages=ASK, **more))
        assert len(parts) > 1, f"one piece: {parts}"
        same(parts[-1].model_dump(), OSLO, "object")


@everywhere(how=("openai tools", "anthropic tools"))
def several_objects_in_pieces(way, how):
    client, more = made(way, how)
    with script(way, call("IterableWeather", tasks=[LYON, OSLO])):
        given = list(client.create_iterable(model=way.model, response_model=Weather, messages=ASK, **more))
        same([one.model_dump() for one in given], [LYON, OSLO], "objects")


@everywhere(how=BY_TOOL + BY_TEXT)
def an_error_is_an_exception(way, how):
    client, more = made(way, how)
    for name, status, steps in ((way.model, 400, [{"fault": "fault-400"}]), ("no-such-model", 404, [])):
        with script(way, *steps):
            try:
                client.create(model=name, response_model=Weather, messages=ASK, max_retries=0, **more)
            except (openai.APIStatusError, anthropic.APIStatusError) as error:
                same(error.status_code, status, "status")
            except InstructorRetryException as error:
                same(error.__cause__.status_code, status, "status")
            else:
                raise AssertionError(f"nothing was raised for {status}")


run(f"instructor {version('instructor')}")
