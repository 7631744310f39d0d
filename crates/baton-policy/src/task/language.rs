//! Tells the languages of a text: by script where that is enough, else by its smallest words.
//!
//! - Start with [`Tally`].
//! - **Invariant:** a text without letters, or of code alone, has no language.

use std::ops::Range;
use std::sync::LazyLock;

use super::lookup::Lookup;
use super::words::phrase;

/// The smallest words of the languages in Latin letters; a word may stand under several.
const WORDS: [(&str, &str); LATIN] = [
    (
        "en",
        "the of and to a is that it for you was with on are this be have from or had not but what all were \
         we when your can there an which their if do will how about out then them these so some would make \
         like him has look more write could go see no way who my than been its now did get may i me please \
         by at as in his her our just don t s into does why where should any only",
    ),
    (
        "de",
        "der die das und ist nicht ein eine einen einem einer zu mit sich auf für dem den des im von auch an \
         als es wie ich du er sie wir ihr aus bei nach oder aber wenn noch nur war hat werden wird sind bin \
         mir mich dir dich mein meine dein kann bitte was wer wo warum dass so schon über unter zum zur vom \
         diese dieser dieses diesen keine kein mal doch gibt haben habe zwischen ohne gegen um",
    ),
    (
        "es",
        "el la los las de que y en un una es por con para no se lo su al del como más pero sus le ya o este \
         sí porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante \
         estos eso mi tu te ti qué cómo cuál está son tiene hace estas esto si unos yo fue ser dos cada",
    ),
    (
        "fr",
        "le la les de des du un une et est en que qui dans pour pas sur au aux avec ce cette ces il elle on \
         nous vous je tu ne se son sa ses par plus mais ou où comme si tout leur y être été à c d j l n s \
         qu m t sont fait mon ma mes ton ta tes quel quelle deux entre sans peux moi toi cet chaque",
    ),
    (
        "it",
        "il lo la gli le di che e è un una in per con non si da del della dei delle al alla nel nella sono \
         come più ma anche questo questa ho ha mi ti ci se o su dal perché cosa quando chi molto essere \
         quale fra i degli allo sul sulla tra",
    ),
    (
        "pt",
        "o a os as de que e do da em um uma para com não é por mais dos das como mas ao se na no nas nos \
         seu sua ou quando muito já eu também só pelo pela até isso ela entre depois sem mesmo aos ter são \
         foi você meu minha este esta qual quem está",
    ),
    (
        "nl",
        "de het een en van ik te dat die in is je niet zijn op aan met voor er maar om hem dan zou of wat \
         mijn men dit zo door over ze zich bij ook tot mij uit der daar haar naar heb hoe heeft hebben deze \
         nog wil waar geen wordt kan waarom welke",
    ),
];

const LATIN: usize = 7;

/// A word that only one language has says more than one that four share.
static VOTES: LazyLock<Lookup<[u8; 8]>> = LazyLock::new(|| {
    let mut pairs = Vec::new();
    for (at, (_, words)) in WORDS.iter().enumerate() {
        for word in words.split_whitespace() {
            let mut votes = [0; 8];
            if let Some(vote) = votes.get_mut(at) {
                *vote = 1;
            }
            pairs.push((phrase(word), votes));
        }
    }
    let shared = Lookup::new(&pairs, join);
    let weighed: Vec<_> = pairs
        .iter()
        .map(|(word, votes)| {
            let sharers = shared.get(*word).map_or(1, |all| all.iter().sum::<u8>());
            let worth = match sharers {
                0 | 1 => 6,
                2 => 3,
                _ => 1,
            };
            (*word, votes.map(|vote| vote * worth))
        })
        .collect();
    Lookup::new(&weighed, join)
});

/// The larger vote for each language: a word twice in one list counts once.
fn join(first: [u8; 8], second: [u8; 8]) -> [u8; 8] {
    let mut joined = first;
    for (one, other) in joined.iter_mut().zip(second) {
        *one = (*one).max(other);
    }
    joined
}

/// The scripts that name a language by themselves, with the range of their characters.
const SCRIPTS: [(&str, u32, u32); 14] = [
    ("el", 0x370, 0x3FF),
    ("ru", 0x400, 0x52F),
    ("hy", 0x530, 0x58F),
    ("he", 0x590, 0x5FF),
    ("ar", 0x600, 0x6FF),
    ("hi", 0x900, 0x97F),
    ("bn", 0x980, 0x9FF),
    ("ta", 0xB80, 0xBFF),
    ("th", 0xE00, 0xE7F),
    ("ka", 0x10A0, 0x10FF),
    ("ja", 0x3040, 0x30FF),
    ("zh", 0x3400, 0x4DBF),
    ("zh", 0x4E00, 0x9FFF),
    ("ko", 0xAC00, 0xD7AF),
];

/// What speaks for each language.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    votes: &'static Lookup<[u8; 8]>,
    latin: [u32; 8],
    /// Words of any kind, for the share.
    words: u32,
}

impl Tally {
    /// Nothing heard yet.
    pub(super) fn new() -> Self {
        Self { votes: &VOTES, latin: [0; 8], words: 0 }
    }

    /// One more word of the text.
    pub(super) fn add(&mut self, hash: u32) {
        self.words += 1;
        if let Some(votes) = self.votes.get(hash) {
            for (sum, vote) in self.latin.iter_mut().zip(votes) {
                *sum += u32::from(vote);
            }
        }
    }

    /// The language in Latin letters that most speaks for, if enough does.
    pub(super) fn main(&self) -> Option<usize> {
        let (at, votes) = self.latin.iter().enumerate().max_by_key(|(_, votes)| **votes)?;
        (*votes >= 6).then_some(at)
    }

    /// Whether this is clearly in another language than `other`: what is most heard here is hardly
    /// heard there, and the other way round.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let (Some(here), Some(there)) = (self.main(), other.main()) else { return false };
        let votes = |tally: &Self, at: usize| tally.latin.get(at).copied().unwrap_or(0);
        here != there
            && votes(self, there) * 2 < votes(self, here)
            && votes(other, here) * 2 < votes(other, there)
    }

    /// The languages, the likeliest first: those with a quarter of the best one's votes, at most two
    /// in Latin letters, since relatives share many of the small words.
    pub(super) fn languages(&self, text: &str, prose: &[Range<usize>]) -> Vec<&'static str> {
        let mut found = scripts(text, prose);
        let mut latin: Vec<(&'static str, u32)> =
            WORDS.iter().zip(self.latin).map(|((code, _), votes)| (*code, votes)).collect();
        latin.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        let best = latin.first().map_or(0, |(_, votes)| *votes);
        for (at, (code, votes)) in latin.into_iter().take(2).enumerate() {
            if votes >= 3 && (at == 0 || (votes * 2 > best && votes >= 18)) {
                found.push((code, if at == 0 { votes.max(4) } else { votes / 2 }));
            }
        }
        found.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        found.into_iter().map(|(code, _)| code).collect()
    }
}

/// Languages by script, with how many of their characters are there.
fn scripts(text: &str, prose: &[Range<usize>]) -> Vec<(&'static str, u32)> {
    let mut counts = [0u32; SCRIPTS.len()];
    let (mut ukrainian, mut persian) = (0u32, 0u32);
    let lines = prose.iter().filter_map(|range| text.get(range.clone()));
    for line in lines.filter(|line| !line.is_ascii()) {
        for point in line.chars().map(u32::from).filter(|point| *point >= 0x370) {
            let script = SCRIPTS.iter().position(|(_, first, last)| (*first..=*last).contains(&point));
            if let Some(count) = script.and_then(|at| counts.get_mut(at)) {
                *count += 1;
            }
            ukrainian += u32::from(matches!(point, 0x404 | 0x406 | 0x407 | 0x454 | 0x456 | 0x457));
            persian += u32::from(matches!(point, 0x67E | 0x686 | 0x6AF | 0x6CC));
        }
    }
    let japanese = SCRIPTS.iter().zip(counts).any(|((code, ..), count)| *code == "ja" && count > 0);
    let mut found: Vec<(&'static str, u32)> = Vec::new();
    for ((code, ..), count) in SCRIPTS.iter().zip(counts).filter(|(_, count)| *count > 0) {
        let code = match *code {
            "zh" if japanese => "ja",
            "ru" if ukrainian > 0 => "uk",
            "ar" if persian > 0 => "fa",
            code => code,
        };
        match found.iter_mut().find(|(known, _)| *known == code) {
            Some((_, sum)) => *sum += count,
            None => found.push((code, count)),
        }
    }
    // One Greek letter is a formula, not a language.
    found.retain(|(code, count)| *code != "el" || *count >= 4);
    found
}
