//! Knows the models of public data sets: one name for each, its price, and whether it is shipped.
//!
//! Prices are list prices in nano-dollars for each token, from `tokencost/model_prices.json` of
//! <https://github.com/AgentOps-AI/tokencost> at commit e7f7c19 of 2025-09-05; `row` names the entry.
//! They serve to weigh models against each other in a measurement, not to bill. Where tokens that
//! cost are not in the data, as with models that think before they answer, there is no price.
//!
//! - Start with [`MODELS`] and [`named`].

/// One model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    /// Its names in the data, the preferred one first.
    aliases: &'static [&'static str],
    pub(super) price: Option<Price>,
    pub(super) shipped: Shipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shipped {
    Yes,
    No,
}

/// In nano-dollars for each token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Price {
    pub(super) input: f64,
    pub(super) output: f64,
    /// The entry of the source.
    pub(super) row: &'static str,
}

impl Price {
    /// For models without a price: a call costs the same whatever it says.
    pub(super) const SAME: Self = Self { input: 0.0, output: 0.0, row: "" };
}

const fn priced(row: &'static str, input: f64, output: f64) -> Price {
    Price { input, output, row }
}

const fn shipped(name: &'static str, aliases: &'static [&'static str], price: Option<Price>) -> Model {
    Model { name, aliases, price, shipped: Shipped::Yes }
}

const fn measured(name: &'static str, aliases: &'static [&'static str], price: Option<Price>) -> Model {
    Model { name, aliases, price, shipped: Shipped::No }
}

/// Every model that has more than its name.
#[rustfmt::skip]
pub(super) const MODELS: [Model; 45] = [
    shipped("o1-mini-2024-09-12", &[], None),
    shipped("o1-preview-2024-09-12", &[], None),
    shipped("gpt-4o-2024-08-06", &[], Some(priced("gpt-4o-2024-08-06", 2500.0, 10000.0))),
    shipped("gpt-4o-2024-05-13", &[], Some(priced("gpt-4o-2024-05-13", 5000.0, 15000.0))),
    shipped("gpt-4o-mini-2024-07-18", &[], Some(priced("gpt-4o-mini-2024-07-18", 150.0, 600.0))),
    shipped("gpt-4-turbo-2024-04-09", &[], Some(priced("gpt-4-turbo-2024-04-09", 10000.0, 30000.0))),
    shipped("gpt-4-1106-preview", &[], Some(priced("gpt-4-1106-preview", 10000.0, 30000.0))),
    shipped("gpt-3.5-turbo-0125", &[], Some(priced("gpt-3.5-turbo-0125", 500.0, 1500.0))),
    shipped("claude-3-5-sonnet-20241022", &[], Some(priced("claude-3-5-sonnet-20241022", 3000.0, 15000.0))),
    shipped("claude-3-5-sonnet-20240620", &[], Some(priced("claude-3-5-sonnet-20240620", 3000.0, 15000.0))),
    shipped("claude-3-5-haiku-20241022", &[], Some(priced("claude-3-5-haiku-20241022", 800.0, 4000.0))),
    shipped("claude-3-opus-20240229", &[], Some(priced("claude-3-opus-20240229", 15000.0, 75000.0))),
    shipped("claude-3-haiku-20240307", &[], Some(priced("claude-3-haiku-20240307", 250.0, 1250.0))),
    shipped("gemini-1.5-pro", &["gemini-1.5-pro-preview-0514"], Some(priced("gemini-1.5-pro", 1250.0, 5000.0))),
    shipped("gemini-1.5-flash", &["gemini-1.5-flash-preview-0514"], Some(priced("gemini/gemini-1.5-flash", 75.0, 300.0))),
    shipped("mistral-large-2407", &["Mistral-Large-2"], Some(priced("mistral/mistral-large-2407", 3000.0, 9000.0))),
    shipped("mixtral-8x7b-instruct", &["Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b-instruct-v0.1"], Some(priced("together_ai/mistralai/Mixtral-8x7B-Instruct-v0.1", 600.0, 600.0))),
    shipped("llama-3.1-405b-instruct", &["Llama-3.1-405B-Inst@sambanova", "Meta-Llama-3.1-405B-Instruct@hyperbolic"], Some(priced("together_ai/meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo", 3500.0, 3500.0))),
    shipped("llama-3.1-70b-instruct", &["Meta-Llama-3.1-70B-Instruct"], Some(priced("together_ai/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo", 880.0, 880.0))),
    shipped("llama-3.1-8b-instruct", &["Meta-Llama-3.1-8B-Instruct"], Some(priced("together_ai/meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", 180.0, 180.0))),
    shipped("llama-3-70b-instruct", &["Meta-Llama-3-70B-Instruct", "meta-llama_Meta-Llama-3-70B-Instruct"], Some(priced("groq/llama3-70b-8192", 590.0, 790.0))),
    shipped("llama-3-8b-instruct", &["Meta-Llama-3-8B-Instruct", "meta-llama_Meta-Llama-3-8B-Instruct"], Some(priced("groq/llama3-8b-8192", 50.0, 80.0))),
    shipped("qwen2.5-72b-instruct", &["Qwen2.5-72B-Instruct"], Some(priced("deepinfra/Qwen/Qwen2.5-72B-Instruct", 120.0, 390.0))),
    shipped("qwen2.5-32b-instruct", &["Qwen2.5-32B-Instruct"], None),
    shipped("qwen2.5-7b-instruct", &["Qwen2.5-7B-Instruct"], Some(priced("deepinfra/Qwen/Qwen2.5-7B-Instruct", 40.0, 100.0))),
    shipped("deepseek-v2.5", &["deepseek-v2.5-0908"], None),
    shipped("gemma-2-27b-it", &["gemma-2-27b-it@together"], Some(priced("deepinfra/google/gemma-2-27b-it", 270.0, 270.0))),
    shipped("gemma-2-9b-it", &[], Some(priced("groq/gemma2-9b-it", 200.0, 200.0))),
    shipped("grok-2-1212", &[], Some(priced("xai/grok-2-1212", 2000.0, 10000.0))),
    shipped("phi-3.5-mini-instruct", &["Phi-3.5-mini-instruct"], Some(priced("azure_ai/Phi-3.5-mini-instruct", 130.0, 520.0))),
    measured("chatgpt-4o-latest", &["chatgpt-4o-latest-24-09-07"], Some(priced("chatgpt-4o-latest", 5000.0, 15000.0))),
    measured("gpt-4-0125-preview", &[], Some(priced("gpt-4-0125-preview", 10000.0, 30000.0))),
    measured("gpt-4-0613", &[], Some(priced("gpt-4-0613", 30000.0, 60000.0))),
    measured("gpt-4-0314", &[], Some(priced("gpt-4-0314", 30000.0, 60000.0))),
    measured("claude-3-sonnet-20240229", &[], Some(priced("claude-3-sonnet-20240229", 3000.0, 15000.0))),
    measured("claude-2.1", &[], Some(priced("claude-2.1", 8000.0, 24000.0))),
    measured("gemini-1.0-pro", &[], Some(priced("gemini-1.0-pro", 500.0, 1500.0))),
    measured("open-mistral-nemo-2407", &["Mistral-Nemo-Instruct-2407"], Some(priced("mistral/open-mistral-nemo-2407", 300.0, 300.0))),
    measured("open-mixtral-8x22b", &[], Some(priced("mistral/open-mixtral-8x22b", 2000.0, 6000.0))),
    measured("qwen2-72b-instruct", &["Qwen2-72B-Instruct"], Some(priced("fireworks_ai/accounts/fireworks/models/qwen2-72b-instruct", 900.0, 900.0))),
    measured("qwen2-7b-instruct", &["Qwen2-7B-Instruct"], Some(priced("deepinfra/Qwen/Qwen2-7B-Instruct", 55.0, 55.0))),
    measured("command-r-plus", &[], Some(priced("command-r-plus", 2500.0, 10000.0))),
    measured("command-r", &[], Some(priced("command-r", 150.0, 600.0))),
    measured("athene-70b", &["Athene-70B"], None),
    measured("gemma-2-2b-it", &[], None),
];

/// The entry of a model.
pub(super) fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// The one name of a model of the data, and how far down the list of its names this one stands.
///
/// `-FC` marks answers with the vendor's own tool calls. That is what a gateway asks for, so
/// it goes before the same model asked in words.
pub(super) fn named(name: &str) -> (String, usize) {
    let with_tools = name.strip_suffix("-FC").or_else(|| name.strip_suffix("-FC-Auto"));
    let (plain, asked) = with_tools.map_or((name, 1), |plain| (plain, 0));
    for model in &MODELS {
        if model.name == plain {
            return (model.name.to_owned(), asked);
        }
        if let Some(at) = model.aliases.iter().position(|alias| *alias == plain) {
            return (model.name.to_owned(), 2 * (at + 1) + asked);
        }
    }
    (plain.to_owned(), asked)
}

#[cfg(test)]
mod tests;
