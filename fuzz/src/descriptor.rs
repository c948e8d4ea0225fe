//! `DiskDescriptor.xml`, and the chains that can be chosen from it.

use ploopconv::ploop::{ChainPlan, Descriptor, ImageName, LayerForm};
use ploopconv::util::text;

/// Parses a descriptor and chooses every chain of it.
pub fn try_input(input: &[u8]) {
    let Ok(descriptor) = Descriptor::parse(input) else {
        return;
    };
    let guids = descriptor.images().map(|image| image.guid);
    for wanted in [None].into_iter().chain(guids.take(16).map(Some)) {
        let Ok(plan) = ChainPlan::select(&descriptor, wanted) else {
            continue;
        };
        assert!(wanted.is_none_or(|wanted| wanted == plan.top));
        assert_eq!(plan.parts.len(), descriptor.storages.len());
        for part in &plan.parts {
            let layers = &part.layers;
            assert!(!layers.is_empty() && layers.len() <= ChainPlan::MAX_LAYERS);
            assert_eq!(layers.last().map(|layer| layer.guid), Some(plan.top));
            for (at, layer) in layers.iter().enumerate() {
                assert!(
                    layer.form == LayerForm::Image || at == 0,
                    "only the base is raw"
                );
                let again = layers.iter().filter(|other| other.guid == layer.guid);
                assert_eq!(again.count(), 1, "no layer comes twice");
            }
        }
    }
    let mut at = 0;
    for storage in descriptor.storages.iter().filter(|_| descriptor.is_split()) {
        assert_eq!(storage.start, at, "no gap and no overlap");
        at = storage.end.expect("parts have ends");
        assert!(at > storage.start);
    }
    for image in descriptor.images() {
        let name = ImageName::parse(image.file.as_ref());
        assert!(name.is_none_or(|name| !name.stem.is_empty()));
        let shown = text::safe(&image.file);
        assert!(!shown.chars().any(text::is_unsafe), "{shown:?}");
    }
}
