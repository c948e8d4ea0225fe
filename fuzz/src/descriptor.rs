//! `DiskDescriptor.xml`, and the chains that can be chosen from it.

use ploopconv::ploop::{ChainPlan, Descriptor, ImageName, LayerForm};
use ploopconv::util::text;

/// Parses a descriptor and chooses every chain of it.
pub fn try_input(input: &[u8]) {
    let Ok(descriptor) = Descriptor::parse(input) else {
        return;
    };
    let guids = descriptor.images.iter().map(|image| image.guid);
    for wanted in [None].into_iter().chain(guids.take(16).map(Some)) {
        let Ok(plan) = ChainPlan::select(&descriptor, wanted) else {
            continue;
        };
        assert!(!plan.layers.is_empty() && plan.layers.len() <= ChainPlan::MAX_LAYERS);
        assert_eq!(plan.layers.last().map(|layer| layer.guid), Some(plan.top));
        assert!(wanted.is_none_or(|wanted| wanted == plan.top));
        for (at, layer) in plan.layers.iter().enumerate() {
            assert!(
                layer.form == LayerForm::Image || at == 0,
                "only the base is raw"
            );
            let again = plan.layers.iter().filter(|other| other.guid == layer.guid);
            assert_eq!(again.count(), 1, "no layer comes twice");
        }
    }
    for image in &descriptor.images {
        let name = ImageName::parse(image.file.as_ref());
        assert!(name.is_none_or(|name| !name.stem.is_empty()));
        let shown = text::safe(&image.file);
        assert!(!shown.chars().any(text::is_unsafe), "{shown:?}");
    }
}
