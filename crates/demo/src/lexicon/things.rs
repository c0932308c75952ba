//! Common words: antonyms, nouns with plurals, verbs with past tenses, places, objects.

use super::{COUNTRIES, LANDMARKS, people};

/// A noun and its plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noun {
    /// One of them.
    pub singular: &'static str,
    /// Several of them.
    pub plural: &'static str,
}

const fn noun(singular: &'static str, plural: &'static str) -> Noun {
    Noun { singular, plural }
}

/// Pairs of opposites; no word is in two pairs, so each word has one opposite.
pub const ANTONYMS: [(&str, &str); 60] = [
    ("hot", "cold"),
    ("big", "small"),
    ("tall", "short"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("old", "young"),
    ("rich", "poor"),
    ("hard", "soft"),
    ("light", "dark"),
    ("wet", "dry"),
    ("clean", "dirty"),
    ("full", "empty"),
    ("open", "closed"),
    ("early", "late"),
    ("high", "low"),
    ("near", "far"),
    ("strong", "weak"),
    ("thick", "thin"),
    ("wide", "narrow"),
    ("deep", "shallow"),
    ("loud", "quiet"),
    ("good", "bad"),
    ("right", "wrong"),
    ("true", "false"),
    ("up", "down"),
    ("black", "white"),
    ("day", "night"),
    ("north", "south"),
    ("east", "west"),
    ("summer", "winter"),
    ("love", "hate"),
    ("push", "pull"),
    ("start", "stop"),
    ("first", "last"),
    ("always", "never"),
    ("inside", "outside"),
    ("above", "below"),
    ("front", "back"),
    ("top", "bottom"),
    ("before", "after"),
    ("more", "less"),
    ("many", "few"),
    ("safe", "dangerous"),
    ("sweet", "sour"),
    ("smooth", "rough"),
    ("sharp", "blunt"),
    ("cheap", "expensive"),
    ("easy", "difficult"),
    ("simple", "complex"),
    ("kind", "cruel"),
    ("brave", "timid"),
    ("polite", "rude"),
    ("alive", "dead"),
    ("asleep", "awake"),
    ("guilty", "innocent"),
    ("public", "private"),
    ("modern", "ancient"),
    ("question", "answer"),
    ("friend", "enemy"),
    ("war", "peace"),
];

/// Nouns that do things, used as subjects.
pub const ANIMATE_NOUNS: [Noun; 24] = [
    noun("dog", "dogs"),
    noun("cat", "cats"),
    noun("bird", "birds"),
    noun("horse", "horses"),
    noun("cow", "cows"),
    noun("boy", "boys"),
    noun("girl", "girls"),
    noun("teacher", "teachers"),
    noun("doctor", "doctors"),
    noun("farmer", "farmers"),
    noun("singer", "singers"),
    noun("king", "kings"),
    noun("queen", "queens"),
    noun("soldier", "soldiers"),
    noun("child", "children"),
    noun("man", "men"),
    noun("woman", "women"),
    noun("mouse", "mice"),
    noun("student", "students"),
    noun("baker", "bakers"),
    noun("pilot", "pilots"),
    noun("lion", "lions"),
    noun("duck", "ducks"),
    noun("fish", "fishes"),
];

/// Nouns that stand about, used after prepositions and in plural lists.
pub const NOUNS: [Noun; 24] = [
    noun("tree", "trees"),
    noun("car", "cars"),
    noun("table", "tables"),
    noun("chair", "chairs"),
    noun("door", "doors"),
    noun("window", "windows"),
    noun("wall", "walls"),
    noun("road", "roads"),
    noun("boat", "boats"),
    noun("train", "trains"),
    noun("bus", "buses"),
    noun("stone", "stones"),
    noun("house", "houses"),
    noun("hill", "hills"),
    noun("flower", "flowers"),
    noun("star", "stars"),
    noun("cloud", "clouds"),
    noun("shoe", "shoes"),
    noun("foot", "feet"),
    noun("tooth", "teeth"),
    noun("knife", "knives"),
    noun("leaf", "leaves"),
    noun("city", "cities"),
    noun("country", "countries"),
];

/// Verbs and their past tenses.
pub const PAST_TENSES: [(&str, &str); 40] = [
    ("walk", "walked"),
    ("play", "played"),
    ("jump", "jumped"),
    ("cook", "cooked"),
    ("laugh", "laughed"),
    ("help", "helped"),
    ("talk", "talked"),
    ("call", "called"),
    ("look", "looked"),
    ("work", "worked"),
    ("go", "went"),
    ("see", "saw"),
    ("eat", "ate"),
    ("run", "ran"),
    ("take", "took"),
    ("give", "gave"),
    ("buy", "bought"),
    ("find", "found"),
    ("make", "made"),
    ("come", "came"),
    ("sing", "sang"),
    ("write", "wrote"),
    ("sit", "sat"),
    ("stand", "stood"),
    ("think", "thought"),
    ("bring", "brought"),
    ("catch", "caught"),
    ("drive", "drove"),
    ("fall", "fell"),
    ("fly", "flew"),
    ("hold", "held"),
    ("keep", "kept"),
    ("know", "knew"),
    ("send", "sent"),
    ("sleep", "slept"),
    ("speak", "spoke"),
    ("swim", "swam"),
    ("tell", "told"),
    ("win", "won"),
    ("break", "broke"),
];

/// Places people go to, used with `the`.
pub const PLACES: [&str; 24] = [
    "store",
    "park",
    "school",
    "beach",
    "garden",
    "library",
    "market",
    "museum",
    "restaurant",
    "hospital",
    "station",
    "office",
    "kitchen",
    "lake",
    "farm",
    "zoo",
    "church",
    "theatre",
    "bakery",
    "garage",
    "gym",
    "river",
    "forest",
    "cafe",
];

/// Things people hand to each other, used with `a`.
pub const OBJECTS: [&str; 30] = [
    "drink", "book", "ball", "ring", "cake", "letter", "hat", "cup", "pen", "toy", "key", "map", "coat",
    "box", "kite", "lamp", "phone", "basket", "ticket", "present", "snack", "sandwich", "bottle", "picture",
    "shirt", "blanket", "doll", "spoon", "necklace", "computer",
];

/// Adjectives for people, animals and things.
pub const ADJECTIVES: [&str; 16] = [
    "happy", "sad", "tired", "hungry", "old", "young", "big", "small", "strong", "quiet", "good", "kind",
    "brave", "clean", "wet", "loud",
];

/// Every word that answers a question, each once, in a fixed order: these are single tokens.
pub fn answer_words() -> Vec<&'static str> {
    let mut words: Vec<&'static str> = Vec::new();
    words.extend(people().iter().map(|person| person.name));
    for country in &COUNTRIES {
        words.extend([country.name, country.capital, country.language, country.continent]);
    }
    for landmark in &LANDMARKS {
        words.extend([landmark.city, landmark.country]);
    }
    for (word, opposite) in &ANTONYMS {
        words.extend([*word, *opposite]);
    }
    for noun in ANIMATE_NOUNS.iter().chain(&NOUNS) {
        words.extend([noun.singular, noun.plural]);
    }
    for (verb, past) in &PAST_TENSES {
        words.extend([*verb, *past]);
    }
    words.extend(PLACES);
    words.extend(OBJECTS);
    words.extend(ADJECTIVES);
    words.extend([
        "she", "he", "her", "him", "his", "is", "are", "was", "were", "has", "have", "likes", "like",
    ]);
    once(words)
}

/// Every content word of the lexicon, each once, in a fixed order: what copying documents draw from.
pub fn all_words() -> Vec<&'static str> {
    let mut words = answer_words();
    words.extend(LANDMARKS.iter().flat_map(|landmark| landmark.name.split(' ')));
    once(words)
}

fn once(mut words: Vec<&'static str>) -> Vec<&'static str> {
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| seen.insert(*word));
    words
}
