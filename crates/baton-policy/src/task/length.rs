//! Reads how long an answer is asked for: `in 200 words`, `ein Satz`, `trois paragraphes`.
//!
//! A number counts only beside a unit of text, and only after a word that sets a limit or asks, so
//! that `I wrote 500 words yesterday` asks for nothing.
//!
//! - Start with [`asked_tokens`].

use std::sync::LazyLock;

use super::lookup::Lookup;
use super::words::{Word, phrase};

/// What a word is to this reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    /// A number in words.
    Number(u32),
    /// A unit of text, in tokens.
    Unit(u32),
    /// A word before a length that is asked for.
    Limit,
}

const NUMBERS: [(u32, &str); 14] = [
    (1, "one single ein eine einem einen einer un una une uno uma een"),
    (2, "two zwei dos deux due dois duas twee"),
    (3, "three drei tres trois tre três drie"),
    (4, "four vier cuatro quatre quattro quatro"),
    (5, "five fünf cinco cinq cinque vijf"),
    (6, "six sechs seis sei zes"),
    (7, "seven sieben siete sept sette sete zeven"),
    (8, "eight acht ocho huit otto oito"),
    (9, "nine neun nueve neuf nove negen"),
    (10, "ten zehn diez dix dieci dez tien"),
    (12, "twelve zwölf doce douze dodici doze twaalf"),
    (20, "twenty zwanzig veinte vingt venti vinte twintig"),
    (50, "fifty fünfzig cincuenta cinquante cinquanta cinquenta vijftig"),
    (100, "hundred hundert cien cent cento cem honderd"),
];

/// Tokens of a unit: English words are 4 for 3, those of the other languages 3 for 2, in hundredths.
const UNITS: [(u32, &str); 8] = [
    (133, "word words"),
    (
        160,
        "wort wörter wörtern worte worten palabra palabras mot mots parola parole palavra palavras woord woorden",
    ),
    (
        2_500,
        "sentence sentences satz sätze sätzen satzes frase frases oración oraciones phrase phrases frasi zin zinnen",
    ),
    (
        10_000,
        "paragraph paragraphs absatz absätze absätzen párrafo párrafos paragraphe paragraphes paragrafo paragrafi \
         parágrafo parágrafos alinea alineas stanza stanzas strophe strophen strophes estrofa estrofas",
    ),
    (
        2_000,
        "bullet bullets stichpunkt stichpunkte stichpunkten punkte punkten viñeta viñetas puces punti tópicos \
         point points punto puntos",
    ),
    (1_500, "line lines zeile zeilen línea líneas ligne lignes verse verses vers versos righe linhas regels"),
    (60_000, "page pages seite seiten página páginas pagina pagine"),
    (25, "character characters zeichen caracteres caractères caratteri tekens"),
];

const LIMITS: &str = "in within under to of a an about around roughly approximately most least than max maximum exactly up \
    only just over write and with each auf mit unter höchstens maximal max etwa ca circa ungefähr rund genau als mindestens bis \
    nur von und je en de menos máximo unas unos aproximadamente solo sólo con más hasta y d environ moins maximum \
    plus exactement au seulement pas et maximo circa massimo meno di em até menos ongeveer hooguit \
    give me mir moi nenne gib dame donne this that following below summary resumen résumé zusammenfassung genau";

static SENSES: LazyLock<Lookup<Sense>> = LazyLock::new(|| {
    let mut senses = Vec::new();
    let mut add = |words: &str, sense: Sense| {
        senses.extend(words.split_whitespace().map(|word| (phrase(word), sense)));
    };
    for word in LIMITS.split_whitespace() {
        add(word, Sense::Limit);
    }
    for (number, words) in NUMBERS {
        add(words, Sense::Number(number));
    }
    for (tokens, words) in UNITS {
        add(words, Sense::Unit(tokens));
    }
    Lookup::new(&senses, |_, last| last)
});

/// The longest answer a text may ask for, in tokens: what is above is a typing error.
const MOST: u64 = 200_000;

/// The length that is asked for, in tokens; the largest where there are several.
pub(super) fn asked_tokens(words: &[Word]) -> Option<u32> {
    let sense = |at: usize| words.get(at).and_then(|word| SENSES.get(word.hash));
    let mut asked = None;
    for at in 0..words.len() {
        let written = words.get(at).and_then(|word| word.number).map(Sense::Number);
        let Some(Sense::Number(number)) = written.or_else(|| sense(at)) else { continue };
        // `200 to 250 words` and `one short sentence` have a word between.
        let unit = [at + 1, at + 2].into_iter().find_map(|place| match sense(place) {
            Some(Sense::Unit(unit)) => Some(unit),
            _ => None,
        });
        let limited = at == 0 || sense(at - 1) == Some(Sense::Limit);
        if let Some(unit) = unit.filter(|_| limited && number > 0) {
            let tokens = (u64::from(number) * u64::from(unit)).div_ceil(100);
            let tokens = u32::try_from(tokens.min(MOST)).unwrap_or(0);
            asked = asked.max(Some(tokens));
        }
    }
    asked
}
