//! Cards that Virtuozzo 7 routes as it does `venet0`: they have a name like `eth0`, and a way out
//! that only its host answers for. Its scripts mark their settings.

/// The mark: in comments behind `#`, with the name of the card, and as the UUID of a keyfile.
const MARK: &str = "4896d4dc-7035-45f9-ac14-2bd1d1809c26";

/// Whether the settings are of such a card.
pub(super) fn is_routed(text: &str) -> bool {
    text.contains(MARK)
}

/// The cards that comments of a file with several cards name.
fn routed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let name = line.split_once(MARK)?.1.trim();
        (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
    })
}

/// Whether a card of a file is one that OpenVZ's host set up: `venet0` or a routed card, or an
/// alias of it.
pub(super) fn is_of_host(card: &str, text: &str) -> bool {
    let base = card.split_once(':').map_or(card, |(base, _)| base);
    card.starts_with("venet0") || routed(text).any(|name| name == base)
}
