//! SPAKE2 in a group of eleven elements, for checking by hand. A toy: it protects nothing.
//!
//! The numbers modulo 23 that are powers of 2. Written as multiplication, `x·G + w·M` reads `2^x · M^w`.

const P: u32 = 23;
/// Number of elements, and so of exponents and of "codes".
pub(super) const ORDER: u32 = 11;
const G: u32 = 2;
const M: u32 = 3;
const N: u32 = 6;

/// The agent's secret exponent, the approver's, and the code, as in docs/pake.md.
pub(super) const X: u32 = 7;
pub(super) const Y: u32 = 4;
pub(super) const W: u32 = 5;

/// `base^exponent mod 23`
pub(super) fn power(base: u32, exponent: u32) -> u32 {
    (0..exponent % ORDER).fold(1, |product, _| product * base % P)
}

/// The agent's message for exponent `x` and code `w`.
pub(super) fn message_a(x: u32, w: u32) -> u32 {
    power(G, x) * power(M, w) % P
}

/// The approver's message for exponent `y` and code `w`.
pub(super) fn message_b(y: u32, w: u32) -> u32 {
    power(G, y) * power(N, w) % P
}

/// What the agent gets from the approver's message.
pub(super) fn key_a(message_b: u32, x: u32, w: u32) -> u32 {
    power(unblind(message_b, N, w), x)
}

/// What the approver gets from the agent's message.
pub(super) fn key_b(message_a: u32, y: u32, w: u32) -> u32 {
    power(unblind(message_a, M, w), y)
}

/// How a listener can explain two messages by the code `w`: the one `x`, the one `y`, and the key.
pub(super) fn explanation(message_a: u32, message_b: u32, w: u32) -> Option<(u32, u32, u32)> {
    let (x, y) = (log(unblind(message_a, M, w))?, log(unblind(message_b, N, w))?);
    Some((x, y, power(G, x * y)))
}

/// Takes `blind^w` off: dividing is multiplying with the power that fills it up to 11.
fn unblind(message: u32, blind: u32, w: u32) -> u32 {
    message * power(blind, ORDER - w % ORDER) % P
}

/// The discrete logarithm, by trying: in a real group nobody can.
fn log(element: u32) -> Option<u32> {
    (0..ORDER).find(|x| power(G, *x) == element)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../../docs/pake.md");

    #[test]
    fn both_ends_get_the_same_key_with_the_same_code_only() {
        for x in 0..ORDER {
            for y in 1..ORDER {
                for (w, typed) in (0..ORDER).flat_map(|w| (0..ORDER).map(move |typed| (w, typed))) {
                    let (a, b) = (message_a(x, w), message_b(y, typed));
                    let same = key_a(b, x, w) == key_b(a, y, typed);
                    if w == typed {
                        assert!(same);
                    }
                }
            }
        }
        assert_ne!(key_a(message_b(Y, 1), X, W), key_b(message_a(X, W), Y, 1));
    }

    #[test]
    fn every_code_explains_the_messages() {
        let (a, b) = (message_a(X, W), message_b(Y, W));
        let keys: Vec<u32> = (0..ORDER).filter_map(|w| Some(explanation(a, b, w)?.2)).collect();
        assert_eq!(keys.len(), 11, "one explanation a code");
        assert_eq!(explanation(a, b, W), Some((X, Y, key_a(b, X, W))));
    }

    /// The page's arithmetic is this module's.
    #[test]
    fn the_numbers_in_the_page_are_right() {
        let (a, b) = (message_a(X, W), message_b(Y, W));
        let wrong = message_b(Y, 1);
        for line in [
            format!(
                "X = 2^7 · 3^5 = {} · {} = {} = {a} (mod 23)",
                power(G, X),
                power(M, W),
                power(G, X) * power(M, W)
            ),
            format!(
                "Y = 2^4 · 6^5 = {} · {} = {} = {b} (mod 23)",
                power(G, Y),
                power(N, W),
                power(G, Y) * power(N, W)
            ),
            format!(
                "K = (Y / 6^5)^7 = ({b} / {})^7 = {}^7 = {} (mod 23)",
                power(N, W),
                unblind(b, N, W),
                key_a(b, X, W)
            ),
            format!(
                "K = (X / 3^5)^4 = ({a} / {})^4 = {}^4 = {} (mod 23)",
                power(M, W),
                unblind(a, M, W),
                key_b(a, Y, W)
            ),
            format!("Y' = 2^4 · 6^1 = 16 · 6 = 96 = {wrong} (mod 23)"),
            format!(
                "agent: K = ({wrong} / {})^7 = {}^7 = {}",
                power(N, W),
                unblind(wrong, N, W),
                key_a(wrong, X, W)
            ),
            format!("approver: K = ({a} / 3)^4 = {}^4 = {}", unblind(a, M, 1), key_b(a, Y, 1)),
        ] {
            assert!(PAGE.contains(&line), "docs/pake.md lacks\n{line}");
        }
        for w in 0..ORDER {
            let (x, y, key) = explanation(a, b, w).unwrap();
            let row = format!("| {w} | {} | {x} | {} | {y} | {key} |", unblind(a, M, w), unblind(b, N, w));
            assert!(PAGE.contains(&row), "docs/pake.md lacks\n{row}");
        }
        let powers: Vec<String> = (0..ORDER).map(|n| power(G, n).to_string()).collect();
        assert!(PAGE.contains(&powers.join(" ")), "{}", powers.join(" "));
    }
}
