//! First names, each a single word.

/// Names of women and girls in the corpus.
pub const FEMALE_NAMES: [&str; 40] = [
    "Mary", "Anna", "Alice", "Emma", "Lily", "Sarah", "Kate", "Jane", "Lucy", "Laura", "Julia", "Helen",
    "Susan", "Linda", "Karen", "Nancy", "Betty", "Sandra", "Ruth", "Maria", "Diana", "Amy", "Jessica",
    "Rachel", "Megan", "Nicole", "Emily", "Hannah", "Chloe", "Zoe", "Ella", "Nora", "Clara", "Sophie",
    "Alma", "Tina", "Olga", "Vera", "Judy", "Carol",
];

/// Names of men and boys in the corpus.
pub const MALE_NAMES: [&str; 40] = [
    "John", "James", "Tom", "David", "Mark", "Paul", "Peter", "Michael", "Robert", "William", "Richard",
    "Joseph", "Thomas", "Daniel", "Matthew", "Steven", "Kevin", "Brian", "George", "Edward", "Ronald",
    "Jason", "Ryan", "Jacob", "Gary", "Eric", "Justin", "Frank", "Adam", "Henry", "Simon", "Martin",
    "Oliver", "Leo", "Sam", "Ben", "Jack", "Luke", "Max", "Victor",
];

/// A name with the pronouns that go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The first name.
    pub name: &'static str,
    /// `she` or `he`.
    pub subject: &'static str,
    /// `her` or `him`.
    pub object: &'static str,
    /// `her` or `his`.
    pub possessive: &'static str,
    /// `girl` or `boy`.
    pub child: &'static str,
}

/// Everybody, women first, in the order of the name lists.
pub fn people() -> Vec<Person> {
    let female = FEMALE_NAMES.iter().map(|name| Person {
        name,
        subject: "she",
        object: "her",
        possessive: "her",
        child: "girl",
    });
    let male = MALE_NAMES.iter().map(|name| Person {
        name,
        subject: "he",
        object: "him",
        possessive: "his",
        child: "boy",
    });
    female.chain(male).collect()
}
