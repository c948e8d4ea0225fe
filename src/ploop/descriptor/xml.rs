//! Elements of a descriptor, by their names.

use roxmltree::Node;

use super::error::DescriptorError;
use crate::ploop::header::SECTOR;

type Result<T, E = DescriptorError> = std::result::Result<T, E>;

/// A size that the descriptor states in sectors, in bytes.
pub(super) fn size(parent: Option<Node<'_, '_>>, element: &'static str) -> Result<Option<u64>> {
    let Some(node) = parent
        .map(|parent| child(parent, element))
        .transpose()?
        .flatten()
    else {
        return Ok(None);
    };
    let sectors = number(element, &text_of(node))?;
    Ok(Some(sectors.saturating_mul(SECTOR)))
}

/// A number as writers write it: decimal. libploop also reads `0x`, and a leading zero as octal,
/// which no writer means.
pub(super) fn number(element: &'static str, text: &str) -> Result<u64> {
    let digits = |text: &str, radix| {
        (!text.starts_with('+'))
            .then(|| u64::from_str_radix(text, radix).ok())
            .flatten()
    };
    let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => None,
        None => digits(text, 10),
    };
    value.ok_or_else(|| DescriptorError::Number {
        element,
        text: text.to_owned(),
    })
}

pub(super) fn children<'a, 'i>(
    node: Node<'a, 'i>,
    element: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.is_element() && child.tag_name().name() == element)
}

pub(super) fn child<'a, 'i>(
    node: Node<'a, 'i>,
    element: &'static str,
) -> Result<Option<Node<'a, 'i>>> {
    let mut found = children(node, element);
    let first = found.next();
    if found.next().is_some() {
        return Err(DescriptorError::Twice {
            element,
            parent: name(node),
        });
    }
    Ok(first)
}

pub(super) fn required<'a, 'i>(node: Node<'a, 'i>, element: &'static str) -> Result<Node<'a, 'i>> {
    child(node, element)?.ok_or_else(|| missing(element, node))
}

pub(super) fn missing(element: &'static str, parent: Node<'_, '_>) -> DescriptorError {
    DescriptorError::Missing {
        element,
        parent: name(parent),
    }
}

/// The text of an element, without the white space around it. A comment inside does not cut it.
pub(super) fn text_of(node: Node<'_, '_>) -> String {
    let pieces = node
        .children()
        .filter_map(|child| child.text().filter(|_| child.is_text()));
    pieces.collect::<String>().trim().to_owned()
}

pub(super) fn name(node: Node<'_, '_>) -> String {
    node.tag_name().name().to_owned()
}
