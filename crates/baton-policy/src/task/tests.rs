use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

#[test]
fn a_greeting_is_chat() {
    assert_snapshot!(check("hey, how are you today?", 0));
}

#[test]
fn a_mail_is_writing() {
    assert_snapshot!(check(
        "Write a polite email to my landlord about the broken heating. At most 120 words.",
        0
    ));
}

#[test]
fn a_poem_is_creative_writing() {
    assert_snapshot!(check("Schreib mir ein Gedicht über den Herbst, drei Strophen, gereimt.", 0));
}

#[test]
fn a_function_is_code() {
    assert_snapshot!(check("Write a Python function that merges two sorted lists without using sort().", 0));
}

#[test]
fn a_patch_with_a_doubt_is_code_review() {
    assert_snapshot!(check(
        "Any bugs before I merge?\n\n```diff\n@@ -1,2 +1,2 @@\n-let a = b[0];\n+let a = b.first().unwrap();\n```",
        0
    ));
}

#[test]
fn a_sum_is_math_reasoning() {
    assert_snapshot!(check("Résous l'équation 3x² − 5x + 2 = 0 et démontre chaque étape.", 0));
}

#[test]
fn a_table_with_a_wish_is_data_analysis() {
    assert_snapshot!(check(
        "Which region grew fastest, and are there outliers?\n\nregion,q1,q2\nnorth,120,180\nsouth,90,95\nwest,300,299",
        0
    ));
}

#[test]
fn a_topic_with_sources_is_research() {
    assert_snapshot!(check(
        "Prepare an overview of studies on four-day weeks, with sources and open questions.",
        0
    ));
}

#[test]
fn a_doubtful_claim_is_fact_checking() {
    assert_snapshot!(check("¿Es verdad que los elefantes tienen miedo a los ratones?", 0));
}

#[test]
fn a_long_text_to_be_shortened_is_summarise() {
    let report = "The council met again on Tuesday and heard three reports on the harbour. ".repeat(12);
    assert_snapshot!(check(&format!("Summarise this in three bullet points:\n\n{report}"), 0));
}

#[test]
fn a_text_for_another_language_is_translate() {
    assert_snapshot!(check(
        "Übersetze ins Englische: Der Zug fährt heute leider nicht, bitte nehmen Sie den Bus.",
        0
    ));
}

#[test]
fn fields_from_a_text_are_extract() {
    assert_snapshot!(check(
        "Extract name, date and amount as JSON: On 3 May Ms Larsen paid 420 euros for the stand.",
        0
    ));
}

#[test]
fn an_order_beside_tools_is_tool_use() {
    assert_snapshot!(check("Set an alarm for 7 tomorrow and turn off the lights.", 4));
}

#[test]
fn a_short_question_is_a_quick_answer() {
    assert_snapshot!(check("Quelle est la capitale de l'Australie ?", 0));
}

#[test]
fn noise_has_no_kind() {
    for text in ["", "   \n\n", "xqzt vrrk plmd", "\u{0}\u{1}", "~~~"] {
        let reading = read_task(text, &Shape::default());
        assert_eq!((reading.kind, reading.complexity), (None, Complexity::Simple), "{text:?}");
    }
}

#[test]
fn languages_are_told_by_small_words() {
    let languages = [
        ("en", "what is the best way to get there from here"),
        ("de", "wie komme ich am besten von hier zum Bahnhof und zurück"),
        ("es", "cuál es la mejor manera de llegar a la estación desde aquí"),
        ("fr", "quelle est la meilleure façon d'aller à la gare depuis ici"),
        ("it", "qual è il modo migliore per arrivare alla stazione e come sono gli orari"),
        ("pt", "qual é a melhor maneira de chegar até a estação e não perder o trem"),
        ("nl", "wat is de beste manier om van hier naar het station te gaan"),
    ];
    for (code, text) in languages {
        assert_eq!(languages_of(text), [code], "{text}");
    }
}

#[test]
fn languages_are_told_by_script() {
    let languages = [
        ("zh", "请告诉我去车站的路"),
        ("ja", "駅への行き方を教えてください"),
        ("ko", "역으로 가는 길을 알려 주세요"),
        ("ru", "скажите, как пройти к вокзалу"),
        ("uk", "скажіть, як пройти до вокзалу"),
        ("ar", "كيف أصل إلى المحطة"),
        ("fa", "چگونه به ایستگاه بروم"),
        ("he", "איך מגיעים לתחנה"),
        ("el", "πώς πάω στον σταθμό"),
        ("hi", "स्टेशन कैसे जाएँ"),
        ("th", "ไปสถานียังไง"),
    ];
    for (code, text) in languages {
        assert_eq!(languages_of(text), [code], "{text}");
    }
}

#[test]
fn a_text_may_have_two_languages() {
    assert_eq!(languages_of("can you tell me what this says: скажите, как пройти"), ["en", "ru"]);
}

#[test]
fn code_alone_has_no_language() {
    assert_eq!(languages_of("```rust\nlet the = is.of(and);\n```"), Vec::<String>::new());
}

#[test]
fn an_asked_length_is_read_in_any_of_the_languages() {
    let lengths = [
        ("Explain gravity in 200 words", 266),
        ("Answer in one sentence.", 25),
        ("Write a 1000-word essay", 1_330),
        ("between 200 and 300 words please", 399),
        ("Erkläre es in drei Sätzen", 75),
        ("Schreib einen Text mit 150 Wörtern", 240),
        ("Resume en cinco frases", 125),
        ("Un texto de unas 100 palabras", 160),
        ("Explique en deux phrases", 50),
        ("Un texte d'environ 300 mots", 480),
        ("Spiegalo in due frasi", 50),
        ("Explica em três frases", 75),
        ("Leg het uit in vier zinnen", 100),
        ("give me 5 bullet points", 100),
        ("write two pages", 1_200),
    ];
    for (text, tokens) in lengths {
        assert_eq!(read_task(text, &Shape::default()).asked_tokens, Some(tokens), "{text}");
    }
}

#[test]
fn a_number_that_asks_for_nothing_is_no_length() {
    for text in
        ["He wrote 500 letters", "my 3 sentences were wrong", "in 2024", "200", "words in 3 languages"]
    {
        assert_eq!(read_task(text, &Shape::default()).asked_tokens, None, "{text}");
    }
}

#[test]
fn shares_of_code_and_formulas_are_thousandths_of_what_is_not_blank() {
    let code = read_task("```\nlet a = 1;\n```", &Shape::default());
    assert_eq!((code.code, code.math), (1_000, 0));
    let half = read_task("fix me please\n```\nlet aa = 1;\n.\n```", &Shape::default());
    assert_eq!(half.code, 480);
    let formula = read_task("x^2 + 3*x = 10", &Shape::default());
    assert!(formula.math > 500, "{formula:?}");
}

#[test]
fn material_tools_and_depth_make_a_request_complex() {
    let small = Shape { messages: 1, input_tokens: 12, ..Shape::default() };
    let large =
        Shape { messages: 22, input_tokens: 15_000, tools: 8, structured_output: true, ..Shape::default() };
    let text = "What is the capital of Peru?";
    assert_eq!(read_task(text, &small).complexity, Complexity::Simple);
    assert_eq!(read_task(text, &large).complexity, Complexity::Complex);
    assert_eq!(
        read_task(text, &large).evidence,
        ["input_tokens 15000", "tools 8", "messages 22", "structured_output 1"]
    );
}

#[test]
fn only_the_first_bytes_are_looked_at() {
    let start = "what is the capital of Peru? ".repeat(300);
    let shape = Shape::default();
    let (short, long) = (start.get(..LOOKED_AT).unwrap_or_default(), format!("{start} ```\nlet a = 1;\n```"));
    assert_eq!(read_task(short, &shape), read_task(&long, &shape));
}

#[test]
fn tokens_are_near_those_of_a_vocabulary() {
    // The right hand is what `o200k` counts.
    for (text, exact) in [
        ("The quick brown fox jumps over the lazy dog and runs back into the quiet forest.", 17),
        ("{\"name\": \"baton\", \"version\": 3, \"tags\": [\"a\", \"b\"]}", 21),
        ("", 0),
    ] {
        let estimate = estimate_tokens(text.as_bytes());
        assert!(estimate.abs_diff(exact) * 3 <= exact, "{text}: {estimate} for {exact}");
    }
}

proptest! {
    // A case reads whole texts.
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_text_has_a_reading(text in "\\PC*|(?s).{0,400}", tools in 0u32..9) {
        let shape = Shape { tools, messages: 1, ..Shape::default() };
        let reading = read_task(&text, &shape);
        prop_assert!(reading.confidence <= 1_000 && reading.code <= 1_000 && reading.math <= 1_000);
        prop_assert!(!reading.evidence.is_empty());
        prop_assert_eq!(&reading, &read_task(&text, &shape));
    }

    #[test]
    fn a_text_may_be_cut_anywhere(lead in 0usize..9, sign in "[é→漢𝄞`|;]") {
        let text = format!("{}{}", "a".repeat(lead), sign.repeat(LOOKED_AT / sign.len() + 2));
        let looked_at = cut(&text);
        prop_assert!(looked_at.len() <= LOOKED_AT && looked_at.len() + 4 > LOOKED_AT);
        prop_assert!(text.starts_with(looked_at));
        prop_assert!(read_task(&text, &Shape::default()).confidence <= 1_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn more_bytes_never_cost_less(bytes in proptest::collection::vec(any::<u8>(), 0..700), cut in 0usize..700) {
        let start = bytes.get(..cut).unwrap_or(&bytes);
        prop_assert!(estimate_tokens(start) <= estimate_tokens(&bytes));
    }
}

fn languages_of(text: &str) -> Vec<String> {
    read_task(text, &Shape::default()).languages
}

/// The only place that shows a whole reading.
fn check(text: &str, tools: u32) -> String {
    let shape =
        Shape { tools, messages: 1, input_tokens: estimate_tokens(text.as_bytes()), ..Shape::default() };
    let reading = read_task(text, &shape);
    format!(
        "{} {} {:?} languages {} code {} math {} asked {:?}\n{}",
        reading.kind.map_or("unknown", TaskKind::as_str),
        reading.confidence,
        reading.complexity,
        reading.languages.join(" "),
        reading.code,
        reading.math,
        reading.asked_tokens,
        reading.evidence.join(", "),
    )
}
