//! Countries with their capitals and languages, and landmarks with the city and country they stand in.

/// A country, its capital, its main language and its continent; every field but the name is one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country {
    /// The country's name, one word.
    pub name: &'static str,
    /// Its capital city.
    pub capital: &'static str,
    /// The language most spoken there.
    pub language: &'static str,
    /// The continent it lies on.
    pub continent: &'static str,
}

/// A sight, the city it stands in and that city's country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landmark {
    /// The name without its article, one to three words.
    pub name: &'static str,
    /// The city it stands in, one word that is no part of the name.
    pub city: &'static str,
    /// The country it stands in, one word.
    pub country: &'static str,
}

const fn country(
    name: &'static str,
    capital: &'static str,
    language: &'static str,
    continent: &'static str,
) -> Country {
    Country { name, capital, language, continent }
}

const fn landmark(name: &'static str, city: &'static str, country: &'static str) -> Landmark {
    Landmark { name, city, country }
}

/// The countries of the corpus.
pub const COUNTRIES: [Country; 54] = [
    country("France", "Paris", "French", "Europe"),
    country("Italy", "Rome", "Italian", "Europe"),
    country("Spain", "Madrid", "Spanish", "Europe"),
    country("Germany", "Berlin", "German", "Europe"),
    country("England", "London", "English", "Europe"),
    country("Portugal", "Lisbon", "Portuguese", "Europe"),
    country("Greece", "Athens", "Greek", "Europe"),
    country("Austria", "Vienna", "German", "Europe"),
    country("Poland", "Warsaw", "Polish", "Europe"),
    country("Hungary", "Budapest", "Hungarian", "Europe"),
    country("Sweden", "Stockholm", "Swedish", "Europe"),
    country("Norway", "Oslo", "Norwegian", "Europe"),
    country("Finland", "Helsinki", "Finnish", "Europe"),
    country("Denmark", "Copenhagen", "Danish", "Europe"),
    country("Ireland", "Dublin", "English", "Europe"),
    country("Scotland", "Edinburgh", "English", "Europe"),
    country("Belgium", "Brussels", "Dutch", "Europe"),
    country("Czechia", "Prague", "Czech", "Europe"),
    country("Slovenia", "Ljubljana", "Slovene", "Europe"),
    country("Croatia", "Zagreb", "Croatian", "Europe"),
    country("Serbia", "Belgrade", "Serbian", "Europe"),
    country("Bulgaria", "Sofia", "Bulgarian", "Europe"),
    country("Romania", "Bucharest", "Romanian", "Europe"),
    country("Ukraine", "Kyiv", "Ukrainian", "Europe"),
    country("Russia", "Moscow", "Russian", "Europe"),
    country("Iceland", "Reykjavik", "Icelandic", "Europe"),
    country("Estonia", "Tallinn", "Estonian", "Europe"),
    country("Latvia", "Riga", "Latvian", "Europe"),
    country("Turkey", "Ankara", "Turkish", "Asia"),
    country("Japan", "Tokyo", "Japanese", "Asia"),
    country("China", "Beijing", "Chinese", "Asia"),
    country("India", "Delhi", "Hindi", "Asia"),
    country("Thailand", "Bangkok", "Thai", "Asia"),
    country("Vietnam", "Hanoi", "Vietnamese", "Asia"),
    country("Korea", "Seoul", "Korean", "Asia"),
    country("Nepal", "Kathmandu", "Nepali", "Asia"),
    country("Iran", "Tehran", "Persian", "Asia"),
    country("Iraq", "Baghdad", "Arabic", "Asia"),
    country("Syria", "Damascus", "Arabic", "Asia"),
    country("Lebanon", "Beirut", "Arabic", "Asia"),
    country("Egypt", "Cairo", "Arabic", "Africa"),
    country("Morocco", "Rabat", "Arabic", "Africa"),
    country("Libya", "Tripoli", "Arabic", "Africa"),
    country("Kenya", "Nairobi", "Swahili", "Africa"),
    country("Ghana", "Accra", "English", "Africa"),
    country("Senegal", "Dakar", "French", "Africa"),
    country("Angola", "Luanda", "Portuguese", "Africa"),
    country("Canada", "Ottawa", "English", "America"),
    country("Cuba", "Havana", "Spanish", "America"),
    country("Peru", "Lima", "Spanish", "America"),
    country("Chile", "Santiago", "Spanish", "America"),
    country("Colombia", "Bogota", "Spanish", "America"),
    country("Jamaica", "Kingston", "English", "America"),
    country("Australia", "Canberra", "English", "Oceania"),
];

/// The landmarks of the corpus.
pub const LANDMARKS: [Landmark; 72] = [
    landmark("Eiffel Tower", "Paris", "France"),
    landmark("Louvre Museum", "Paris", "France"),
    landmark("Notre Dame Cathedral", "Paris", "France"),
    landmark("Arc de Triomphe", "Paris", "France"),
    landmark("Colosseum", "Rome", "Italy"),
    landmark("Trevi Fountain", "Rome", "Italy"),
    landmark("Pantheon", "Rome", "Italy"),
    landmark("Leaning Tower", "Pisa", "Italy"),
    landmark("Uffizi Gallery", "Florence", "Italy"),
    landmark("Rialto Bridge", "Venice", "Italy"),
    landmark("Brandenburg Gate", "Berlin", "Germany"),
    landmark("Reichstag Building", "Berlin", "Germany"),
    landmark("Pergamon Museum", "Berlin", "Germany"),
    landmark("British Museum", "London", "England"),
    landmark("Globe Theatre", "London", "England"),
    landmark("Westminster Bridge", "London", "England"),
    landmark("Tate Gallery", "London", "England"),
    landmark("Sagrada Familia", "Barcelona", "Spain"),
    landmark("Prado Museum", "Madrid", "Spain"),
    landmark("Alhambra Palace", "Granada", "Spain"),
    landmark("Belem Tower", "Lisbon", "Portugal"),
    landmark("Parthenon Temple", "Athens", "Greece"),
    landmark("Schonbrunn Palace", "Vienna", "Austria"),
    landmark("Hofburg Palace", "Vienna", "Austria"),
    landmark("Charles Bridge", "Prague", "Czechia"),
    landmark("Astronomical Clock", "Prague", "Czechia"),
    landmark("Chain Bridge", "Budapest", "Hungary"),
    landmark("Wawel Castle", "Krakow", "Poland"),
    landmark("Vasa Museum", "Stockholm", "Sweden"),
    landmark("Munch Museum", "Oslo", "Norway"),
    landmark("Sibelius Monument", "Helsinki", "Finland"),
    landmark("Tivoli Gardens", "Copenhagen", "Denmark"),
    landmark("Guinness Storehouse", "Dublin", "Ireland"),
    landmark("Royal Mile", "Edinburgh", "Scotland"),
    landmark("Scott Monument", "Edinburgh", "Scotland"),
    landmark("Atomium", "Brussels", "Belgium"),
    landmark("Dragon Bridge", "Ljubljana", "Slovenia"),
    landmark("Sava Temple", "Belgrade", "Serbia"),
    landmark("Red Square", "Moscow", "Russia"),
    landmark("Bolshoi Theatre", "Moscow", "Russia"),
    landmark("Hallgrim Church", "Reykjavik", "Iceland"),
    landmark("Blue Mosque", "Istanbul", "Turkey"),
    landmark("Galata Tower", "Istanbul", "Turkey"),
    landmark("Topkapi Palace", "Istanbul", "Turkey"),
    landmark("Forbidden City", "Beijing", "China"),
    landmark("Summer Palace", "Beijing", "China"),
    landmark("Oriental Pearl Tower", "Shanghai", "China"),
    landmark("Skytree Tower", "Tokyo", "Japan"),
    landmark("Senso Temple", "Tokyo", "Japan"),
    landmark("Golden Pavilion", "Kyoto", "Japan"),
    landmark("Taj Mahal", "Agra", "India"),
    landmark("Red Fort", "Delhi", "India"),
    landmark("Lotus Temple", "Delhi", "India"),
    landmark("Golden Temple", "Amritsar", "India"),
    landmark("Grand Palace", "Bangkok", "Thailand"),
    landmark("Gyeongbok Palace", "Seoul", "Korea"),
    landmark("Azadi Tower", "Tehran", "Iran"),
    landmark("Umayyad Mosque", "Damascus", "Syria"),
    landmark("Egyptian Museum", "Cairo", "Egypt"),
    landmark("Great Sphinx", "Giza", "Egypt"),
    landmark("Hassan Mosque", "Casablanca", "Morocco"),
    landmark("Space Needle", "Seattle", "America"),
    landmark("Willis Tower", "Chicago", "America"),
    landmark("Liberty Bell", "Philadelphia", "America"),
    landmark("White House", "Washington", "America"),
    landmark("Rideau Canal", "Ottawa", "Canada"),
    landmark("Harbour Bridge", "Sydney", "Australia"),
    landmark("Opera House", "Sydney", "Australia"),
    landmark("Larco Museum", "Lima", "Peru"),
    landmark("Costanera Tower", "Santiago", "Chile"),
    landmark("Gold Museum", "Bogota", "Colombia"),
    landmark("Capitol Building", "Havana", "Cuba"),
];
