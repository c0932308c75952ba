//! The closest name, for "did you mean".

/// The candidate that is closest to a mistyped name, when one is close: at most a third of the name's letters
/// inserted, removed, replaced or swapped with a neighbour, and at least one. Of equally close ones, the first.
///
/// ```
/// use pellucid_program::closest;
///
/// assert_eq!(closest("transfomer.h.3", ["lm_head", "transformer.h.3"]), Some("transformer.h.3"));
/// assert_eq!(closest("attention", ["mlp", "ln_1"]), None);
/// ```
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(LONGEST + 1).collect();
    if name.len() > LONGEST {
        return None;
    }
    let mut allowed = (name.len() / 3).max(1);
    let mut best = None;
    for candidate in candidates {
        if let Some(distance) = distance(&name, candidate, allowed) {
            best = Some(candidate);
            if distance == 0 {
                break;
            }
            allowed = distance - 1;
        }
    }
    best
}

/// Longer names are not compared; the work grows with the square of the length.
const LONGEST: usize = 256;

/// The edit distance with swaps of neighbours, when it is at most `allowed`.
fn distance(name: &[char], candidate: &str, allowed: usize) -> Option<usize> {
    let candidate: Vec<char> = candidate.chars().take(LONGEST + 1).collect();
    if candidate.len().abs_diff(name.len()) > allowed || candidate.len() > LONGEST {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=candidate.len()).collect();
    for row in 1..=name.len() {
        let mut current = vec![row];
        for column in 1..=candidate.len() {
            let differs = usize::from(name[row - 1] != candidate[column - 1]);
            let mut cost = (above[column - 1] + differs).min(above[column] + 1).min(current[column - 1] + 1);
            let is_swap = row > 1
                && column > 1
                && name[row - 1] == candidate[column - 2]
                && name[row - 2] == candidate[column - 1];
            if is_swap {
                cost = cost.min(before[column - 2] + 1);
            }
            current.push(cost);
        }
        if current.iter().min().is_some_and(|&least| least > allowed) {
            return None;
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().filter(|&distance| distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_of_each_sort_is_forgiven() {
        for slip in ["ln_11", "ln1", "lm_1", "nl_1"] {
            assert_eq!(closest(slip, ["attn", "ln_1", "mlp"]), Some("ln_1"), "{slip}");
        }
    }

    #[test]
    fn the_closest_wins_and_the_first_of_equals() {
        assert_eq!(closest("h.12", ["h.2", "h.1", "h.123"]), Some("h.2"));
        assert_eq!(closest("softmx", ["soft", "softmax"]), Some("softmax"));
        assert_eq!(closest("add", ["add", "and"]), Some("add"));
    }

    #[test]
    fn what_is_far_or_very_long_has_no_closest() {
        assert_eq!(closest("", ["transformer"]), None);
        assert_eq!(closest("wte", ["lm_head", "ln_f"]), None);
        let long = "a".repeat(100_000);
        assert_eq!(closest(&long, [long.as_str()]), None);
    }
}
