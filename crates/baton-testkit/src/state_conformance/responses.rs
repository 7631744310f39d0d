//! What is asked of a store of responses.

use baton_state::responses::items::{self, ItemPage, Order};
use baton_state::responses::{Bounds, ChainError, NewResponse, ResponseStatus, StoredResponse, Updated};
use baton_state::runs::{NewRun, RunKind, RunStatus, Step};
use baton_state::{StateErrorKind, Subject};

use super::{
    DAY_MS, OTHER, OWN, StateUnderTest, Time, archive, archive_with, json, process, queue, response_id,
    run_id, say, say_of,
};

use ResponseStatus::{Cancelled, Completed, Failed, InProgress, Incomplete, Queued};

/// Each column, with texts that databases stumble over.
pub async fn a_response_comes_back_as_it_was_stored(store: &dyn StateUnderTest) {
    let (time, id, previous) = (Time::new(), response_id(7), response_id(6));
    let archive = archive(store, &time);
    let subject = Subject::of(OWN, None, Some("o'user\u{0}\u{10ffff}"));
    let input =
        items::of_request(id, r#"[{"role":"user","content":"\u0000 ü 日本 '\\\""}]"#.as_bytes()).unwrap();
    let body = json(r#"{"id":"x","big":123456789012345678901234567890,"nul":"\u0000","output":[]}"#);
    let run = Some(run_id(3));
    for (number, status) in
        [Queued, InProgress, Completed, Incomplete, Failed, Cancelled].into_iter().enumerate()
    {
        let id = response_id(u8::try_from(number).unwrap() + 7);
        let previous = Some(previous);
        let new = NewResponse {
            id,
            principal: OWN,
            subject: &subject,
            run,
            previous,
            status,
            input: &input,
            body: &body,
        };
        archive.create(&new).await.unwrap();
        let stored = archive.get(OWN, id).await.unwrap().unwrap();
        assert_eq!((stored.id, stored.run, stored.previous), (id, run, previous));
        assert_eq!((stored.status, &stored.subject), (status, &subject));
        assert_eq!((&stored.input, stored.body.get()), (&input, body.get()));
        assert_eq!(stored.created_ms, time.now());
        assert_eq!(stored.ended_ms, status.is_end().then(|| time.now()));
        assert_eq!(stored.expires_ms, time.now() + 30 * DAY_MS);
    }
}

/// Reading, deleting, going on, listing: all of them say what they say of an id that was never given.
pub async fn another_principals_response_is_not_there(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    let id = say(&archive, 1, None, Completed, "hi").await;
    assert_eq!(archive.get(OTHER, id).await.unwrap(), None);
    assert!(!archive.delete(OTHER, id).await.unwrap());
    let other = Subject::principal(OTHER);
    assert_eq!(archive.update(OTHER, &other, id, Failed, &json("{}")).await.unwrap(), Updated::Gone);
    assert!(
        matches!(archive.conversation(OTHER, id).await, Err(ChainError::NotFound(missing)) if missing == id)
    );
    let items = archive.input_items(OTHER, id, &page(20, None, Order::Asc)).await;
    assert!(matches!(items, Err(ChainError::NotFound(_))));
    // A conversation does not lead from one principal to another either.
    let own = Subject::principal(OTHER);
    let going_on = say_of(&archive, OTHER, &own, 2, Some(1), Completed, "more").await;
    let refused = archive.conversation(OTHER, going_on).await;
    assert!(matches!(refused, Err(ChainError::Gone { missing, .. }) if missing == id), "{refused:?}");
    assert!(archive.get(OWN, id).await.unwrap().is_some());
}

/// The answer and the wish to stop may come at once.
pub async fn a_response_ends_once(store: &dyn StateUnderTest) {
    let time = Time::new();
    let archive = archive(store, &time);
    let subject = Subject::principal(OWN);
    let id = say(&archive, 1, None, Queued, "hi").await;
    let update =
        async |status, body: &str| archive.update(OWN, &subject, id, status, &json(body)).await.unwrap();
    assert_eq!(update(InProgress, r#"{"n":1}"#).await, Updated::Done);
    time.pass(5);
    let (one, two) = tokio::join!(update(Completed, r#"{"n":2}"#), update(Cancelled, r#"{"n":3}"#));
    let mut answers = [one, two];
    answers.sort_by_key(|answer| *answer == Updated::Ended);
    assert_eq!(answers, [Updated::Done, Updated::Ended]);
    let stored = archive.get(OWN, id).await.unwrap().unwrap();
    let expected = if one == Updated::Done { (Completed, r#"{"n":2}"#) } else { (Cancelled, r#"{"n":3}"#) };
    assert_eq!((stored.status, stored.body.get()), expected);
    assert_eq!((stored.ended_ms, stored.expires_ms), (Some(time.now()), stored.created_ms + 30 * DAY_MS));
    assert_eq!(update(InProgress, "{}").await, Updated::Ended);
    let none = response_id(99);
    let update = archive.update(OWN, &subject, none, Completed, &json("{}")).await.unwrap();
    assert_eq!(update, Updated::Gone);
}

/// Dropped or not: an expired response is not there.
pub async fn a_response_is_there_until_it_expires(store: &dyn StateUnderTest) {
    let time = Time::new();
    let archive = archive(store, &time);
    let id = say(&archive, 1, None, Completed, "hi").await;
    time.pass(30 * DAY_MS - 1);
    assert!(archive.get(OWN, id).await.unwrap().is_some());
    let later = say(&archive, 2, Some(1), Completed, "more").await;
    assert_eq!(archive.conversation(OWN, later).await.unwrap().len(), 2);
    time.pass(1);
    assert_eq!(archive.get(OWN, id).await.unwrap(), None);
    assert!(!archive.delete(OWN, id).await.unwrap());
    assert!(matches!(archive.conversation(OWN, id).await, Err(ChainError::NotFound(_))));
    let refused = archive.conversation(OWN, later).await;
    assert!(matches!(refused, Err(ChainError::Gone { missing, .. }) if missing == id));
}

/// Also for whoever is still making it.
pub async fn a_deleted_response_is_gone(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    let id = say(&archive, 1, None, InProgress, "hi").await;
    assert!(archive.delete(OWN, id).await.unwrap());
    assert!(!archive.delete(OWN, id).await.unwrap());
    assert_eq!(archive.get(OWN, id).await.unwrap(), None);
    let subject = Subject::principal(OWN);
    let update = archive.update(OWN, &subject, id, Completed, &json("{}")).await.unwrap();
    assert_eq!(update, Updated::Gone);
    assert_eq!(archive.get(OWN, id).await.unwrap(), None);
}

/// In order, along one branch: others that go on from the same response are not in it.
pub async fn a_conversation_is_read_back_to_its_beginning(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    for (number, previous) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, Some(4))] {
        say(&archive, number, previous, Completed, &format!("text {number}")).await;
    }
    let read = async |number| {
        let conversation = archive.conversation(OWN, response_id(number)).await.unwrap();
        let text = |stored: &StoredResponse| {
            let body: serde_json::Value = stored.body.read().unwrap();
            let input: serde_json::Value = stored.input[0].json().read().unwrap();
            format!("{} -> {}", input["content"][0]["text"], body["output"][0]["content"][0]["text"])
        };
        conversation.iter().map(text).collect::<Vec<_>>().join(", ").replace('"', "")
    };
    assert_eq!(read(1).await, "text 1 -> answer to text 1");
    assert_eq!(
        read(5).await,
        "text 1 -> answer to text 1, text 2 -> answer to text 2, text 4 -> answer to text 4, text 5 -> answer to text 5"
    );
    assert_eq!(
        read(3).await,
        "text 1 -> answer to text 1, text 2 -> answer to text 2, text 3 -> answer to text 3"
    );
}

/// Nothing is left out in silence.
pub async fn a_conversation_with_a_hole_is_refused(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    for (number, previous) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3))] {
        say(&archive, number, previous, Completed, "text").await;
    }
    archive.delete(OWN, response_id(2)).await.unwrap();
    let refused = archive.conversation(OWN, response_id(4)).await.unwrap_err();
    let expected =
        format!("`{}` goes on from `{}`, which was deleted or has expired", response_id(4), response_id(2));
    assert_eq!(refused.to_string(), expected);
    assert_eq!(archive.conversation(OWN, response_id(1)).await.unwrap().len(), 1);
    let refused = archive.conversation(OWN, response_id(9)).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("there is no response `{}`", response_id(9)));
}

/// One response more, or one byte more, is one too many.
pub async fn a_conversation_beyond_its_bounds_is_refused(store: &dyn StateUnderTest) {
    let time = Time::new();
    let archive = archive(store, &time);
    for number in 1..=5 {
        say(&archive, number, (number > 1).then(|| number - 1), Completed, "text").await;
    }
    let newest = response_id(5);
    let row = store.responses().response(OWN, newest, time.now()).await.unwrap().unwrap();
    let bytes = 5 * (row.input_bytes + row.body_bytes);
    let read = async |depth, bytes| {
        let archive = archive_with(store, &time, Bounds { depth, bytes });
        archive.conversation(OWN, newest).await.map(|conversation| conversation.len())
    };
    assert_eq!(read(5, bytes).await.unwrap(), 5);
    assert!(matches!(read(4, bytes).await, Err(ChainError::TooDeep(4))));
    assert!(matches!(read(1, bytes).await, Err(ChainError::TooDeep(1))));
    assert!(matches!(read(5, bytes - 1).await, Err(ChainError::TooLarge(_))));
    assert!(matches!(read(5, 1).await, Err(ChainError::TooLarge(1))));
    // What is beyond the bounds is not read.
    let rows = store.responses();
    let rows = rows.response_chain(OWN, newest, time.now(), Bounds { depth: 2, bytes }).await.unwrap();
    let contents: Vec<_> = rows.iter().map(|row| (row.input.is_empty(), row.body.is_empty())).collect();
    assert_eq!(contents, [(false, false), (false, false), (true, true)]);
}

/// However it ended.
pub async fn a_conversation_goes_on_from_an_end_only(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    for (number, status) in
        [(1, Queued), (2, InProgress), (3, Completed), (4, Incomplete), (5, Failed), (6, Cancelled)]
    {
        let id = say(&archive, number, None, status, "text").await;
        match archive.conversation(OWN, id).await {
            Ok(_) => assert!(status.is_end()),
            Err(ChainError::NotEnded { id: told, status: shown }) => {
                assert_eq!((told, shown, status.is_end()), (id, status, false));
            }
            Err(error) => panic!("{error:?}"),
        }
        // Its input can be read meanwhile.
        let items = archive.input_items(OWN, id, &page(20, None, Order::Asc)).await.unwrap();
        assert_eq!(items.data.len(), 1);
    }
}

/// Input and output of those before, input of itself; from both ends, page by page.
pub async fn input_items_are_those_of_the_whole_conversation(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    for (number, previous) in [(1, None), (2, Some(1)), (3, Some(2))] {
        say(&archive, number, previous, Completed, &format!("text {number}")).await;
    }
    let id = response_id(3);
    let all = archive.input_items(OWN, id, &page(100, None, Order::Asc)).await.unwrap();
    let texts = |list: &items::ItemList| {
        let text = |item: &items::Item| {
            let item: serde_json::Value = item.json().read().unwrap();
            item["content"][0]["text"].as_str().unwrap().to_owned()
        };
        list.data.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(texts(&all), "text 1, answer to text 1, text 2, answer to text 2, text 3");
    assert!(!all.has_more);
    for order in [Order::Asc, Order::Desc] {
        let mut expected: Vec<_> = all.data.iter().map(|item| item.id().to_owned()).collect();
        if order == Order::Desc {
            expected.reverse();
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let list = archive.input_items(OWN, id, &page(2, after, order)).await.unwrap();
            seen.extend(list.data.iter().map(|item| item.id().to_owned()));
            if !list.has_more {
                break;
            }
            assert_eq!(list.data.len(), 2);
            after = list.last_id.map(String::from);
        }
        assert_eq!(seen, expected);
    }
    let refused = archive.input_items(OWN, id, &page(2, Some("msg_none".to_owned()), Order::Asc)).await;
    assert!(matches!(refused, Err(ChainError::NoSuchItem(_))));
}

/// More than one batch, and nothing that is still good.
pub async fn expired_responses_are_dropped_in_batches(store: &dyn StateUnderTest) {
    let time = Time::new();
    let archive = archive(store, &time);
    for number in 0..7 {
        say(&archive, number, None, if number == 3 { InProgress } else { Completed }, "old").await;
    }
    time.pass(DAY_MS);
    let young = say(&archive, 200, None, Completed, "young").await;
    time.pass(29 * DAY_MS - 1);
    assert_eq!(archive.drop_expired().await.unwrap(), 0);
    time.pass(1);
    let port = store.responses();
    assert_eq!(port.drop_expired_responses(time.now(), 3).await.unwrap(), 3);
    assert_eq!(archive.count_of(&Subject::principal(OWN)).await.unwrap(), 5);
    // Two replicas may do it at once.
    let (one, two) = tokio::join!(archive.drop_expired(), archive.drop_expired());
    assert_eq!(one.unwrap() + two.unwrap() + archive.drop_expired().await.unwrap(), 4);
    assert_eq!(archive.count_of(&Subject::principal(OWN)).await.unwrap(), 1);
    assert!(archive.get(OWN, young).await.unwrap().is_some());
}

/// A user is one under all keys; what a key sent without naming a user is the key's.
pub async fn a_subject_is_counted_and_erased_alone(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    let [anna, ben] = ["anna", "ben"].map(Subject::end_user);
    let [own, other] = [OWN, OTHER].map(Subject::principal);
    let whose = [(OWN, &anna), (OTHER, &anna), (OWN, &ben), (OWN, &own), (OTHER, &other)];
    for (number, (principal, subject)) in (0..).zip(whose) {
        say_of(&archive, principal, subject, number, None, Completed, "text").await;
    }
    let counts = async || {
        let mut counts = Vec::new();
        for subject in [&anna, &ben, &own, &other] {
            counts.push(archive.count_of(subject).await.unwrap());
        }
        counts
    };
    assert_eq!(counts().await, [2, 1, 1, 1]);
    assert_eq!(archive.erase(&anna).await.unwrap(), 2);
    assert_eq!(counts().await, [0, 1, 1, 1]);
    assert_eq!(archive.erase(&anna).await.unwrap(), 0);
    assert_eq!(archive.erase(&own).await.unwrap(), 1);
    assert_eq!(counts().await, [0, 1, 0, 1]);
    assert_eq!(archive.get(OWN, response_id(0)).await.unwrap(), None);
    assert!(archive.get(OWN, response_id(2)).await.unwrap().is_some());
    // More than go in one batch.
    for number in 10..20 {
        say_of(&archive, OWN, &ben, number, None, Completed, "text").await;
    }
    assert_eq!(store.responses().erase_responses(&ben, 4).await.unwrap(), 4);
    assert_eq!(archive.erase(&ben).await.unwrap(), 7);
}

/// Whoever can write to the database cannot show one caller what another one said.
pub async fn sealed_content_opens_in_its_own_row_only(store: &dyn StateUnderTest) {
    let archive = archive(store, &Time::new());
    let mine = say(&archive, 1, None, Completed, "mine").await;
    let theirs = say_of(&archive, OTHER, &Subject::principal(OTHER), 2, None, Completed, "theirs").await;
    for column in ["body", "input"] {
        let swap = format!(
            "update response set {column} = (select {column} from response r where r.id = '{theirs}') where id = '{mine}'"
        );
        assert_eq!(store.execute(&swap).await.unwrap(), 1);
        assert_eq!(archive.get(OWN, mine).await.unwrap_err().kind(), StateErrorKind::Corrupt);
        assert!(archive.delete(OWN, mine).await.unwrap());
        say(&archive, 1, None, Completed, "mine").await;
    }
    assert!(archive.get(OWN, mine).await.unwrap().is_some());
    // A row that is given to somebody else is not readable there.
    let gift = format!("update response set principal = '{OWN}', subject = '{OWN}' where id = '{theirs}'");
    assert_eq!(store.execute(&gift).await.unwrap(), 1);
    assert_eq!(archive.get(OWN, theirs).await.unwrap_err().kind(), StateErrorKind::Corrupt);
    // The answer is no input.
    let swap = format!("update response set input = body where id = '{mine}'");
    assert_eq!(store.execute(&swap).await.unwrap(), 1);
    assert_eq!(archive.get(OWN, mine).await.unwrap_err().kind(), StateErrorKind::Corrupt);
}

/// Neither of responses nor of runs: short texts and long ones, which are packed.
pub async fn nothing_that_was_said_stands_in_the_open(store: &dyn StateUnderTest) {
    const CANARY: &str = "canary4711";
    let time = Time::new();
    let (archive, runs) = (archive(store, &time), process(store, &time, "a"));
    let subject = Subject::of(OWN, Some(CANARY), None);
    let long = CANARY.repeat(500);
    say_of(&archive, OWN, &subject, 1, None, Completed, CANARY).await;
    say_of(&archive, OWN, &subject, 2, None, Completed, &long).await;
    let said = json(&format!("{{\"text\":\"{CANARY}\"}}"));
    let new = NewRun { id: run_id(1), kind: RunKind::Run, principal: OWN, subject: &subject, request: &said };
    let mut lease = runs.begin(&new).await.unwrap();
    let step = Step::default().checkpoint(said.clone()).event(said.clone()).begins(CANARY);
    runs.keep(&mut lease, &step).await.unwrap();
    let step = Step::default().ends(CANARY, said.clone());
    runs.finish(&mut lease, &step, RunStatus::Completed, &said).await.unwrap();
    // A change that changes nothing counts the rows that it finds.
    let with = async |table: &str, column: &str, text: &str| {
        let touch = format!("update {table} set {column} = {column}");
        let all = store.execute(&touch).await.unwrap();
        assert!(all > 0, "{table}.{column}");
        let (shown, text) = (store.shown(column), text.to_uppercase());
        let digits = text.to_lowercase().bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        let clean = format!("{touch} where {shown} not like '%{digits}%' and {shown} not like '%{text}%'");
        all - store.execute(&clean).await.unwrap()
    };
    assert_eq!(with("response", "principal", OWN).await, 2, "what is there is found");
    for (table, columns) in [
        ("response", ["input", "body", "subject"].as_slice()),
        ("run", &["subject"]),
        ("run_part", &["body"]),
        ("run_event", &["body"]),
        ("run_call", &["call", "result"]),
    ] {
        for column in columns {
            assert_eq!(with(table, column, CANARY).await, 0, "{table}.{column}");
        }
    }
}

/// The first stays.
pub async fn an_id_is_taken_once(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (archive, runs) = (archive(store, &time), process(store, &time, "a"));
    let id = say(&archive, 1, None, Completed, "first").await;
    let (subject, body) = (Subject::principal(OTHER), json("{}"));
    let status = Completed;
    let new = NewResponse {
        id,
        principal: OTHER,
        subject: &subject,
        run: None,
        previous: None,
        status,
        input: &[],
        body: &body,
    };
    assert_eq!(archive.create(&new).await.unwrap_err().kind(), StateErrorKind::Duplicate);
    assert_eq!(archive.get(OWN, id).await.unwrap().unwrap().input.len(), 1);
    let run = queue(&runs, 1).await;
    let new = NewRun { id: run, kind: RunKind::Run, principal: OTHER, subject: &subject, request: &body };
    assert_eq!(runs.queue(&new).await.unwrap_err().kind(), StateErrorKind::Duplicate);
    assert_eq!(runs.begin(&new).await.unwrap_err().kind(), StateErrorKind::Duplicate);
    assert_eq!(runs.get(OWN, run).await.unwrap().unwrap().request, json(r#"{"do":1}"#));
}

fn page(limit: usize, after: Option<String>, order: Order) -> ItemPage {
    ItemPage { limit, after, order }
}
