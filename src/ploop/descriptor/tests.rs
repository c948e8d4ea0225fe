//! Descriptors with one thing spoiled, and what is said of it.

use super::*;
use crate::error::{Detail, ErrorKind};

const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
    <Parallels_disk_image Version="1.0">
      <Disk_Parameters><Disk_size> 2048 </Disk_size><Padding>0</Padding></Disk_Parameters>
      <StorageData><Storage><Start>0</Start><End>2048</End><Blocksize>0x40</Blocksize>
        <Image><GUID>{5FBAABE3-6958-40FF-92a7-860e329aab41}</GUID><Type>Compressed</Type>
          <File> root.hds.{1} </File></Image>
        <Image><GUID>{0f0f0f0f-1111-4222-8333-444444444444}</GUID><Type>Plain</Type>
          <File>root.hds</File></Image>
      </Storage></StorageData>
      <Snapshots><TopGUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</TopGUID>
        <Shot><GUID>{0f0f0f0f-1111-4222-8333-444444444444}</GUID>
          <ParentGUID>{00000000-0000-0000-0000-000000000000}</ParentGUID><Temporary/></Shot>
      </Snapshots>
    </Parallels_disk_image>"#;

fn spoiled(from: &str, to: &str) -> DescriptorError {
    let text = SAMPLE.replacen(from, to, 1);
    assert_ne!(text, SAMPLE, "{from} is in the sample");
    Descriptor::parse(text.as_bytes()).unwrap_err()
}

#[test]
fn a_descriptor_is_read_with_white_space_hex_and_any_case() {
    let read = Descriptor::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(read.disk_size, Some(2048 * 512));
    assert_eq!(read.storages[0].block_size, Some(64 * 512));
    assert_eq!(read.top, Some(Guid::CONSTANT_TOP));
    assert_eq!(read.storages[0].images[0].guid, Guid::CONSTANT_TOP);
    assert_eq!(read.storages[0].images[0].file, "root.hds.{1}");
    assert_eq!(read.storages[0].images[1].label, Label::Plain);
    assert_eq!(read.shots[0].parent, None);
    assert_eq!(read.shots[0].temporary, Temporary::Temporary);
}

#[test]
fn any_root_element_will_do_as_long_as_there_is_storage() {
    let text = SAMPLE.replace("Parallels_disk_image", "Virtuozzo_disk_image");
    assert!(Descriptor::parse(text.as_bytes()).is_ok());
    let error = Descriptor::parse(b"<domain/>").unwrap_err();
    assert_eq!(error, DescriptorError::NotADescriptor("domain".to_owned()));
    assert_eq!(error.kind(), ErrorKind::NotThisFormat);
}

#[test]
fn what_would_be_read_wrongly_is_refused() {
    use DescriptorError as E;
    assert_eq!(spoiled("<Padding>0", "<Padding>1"), E::Padding(1));
    assert_eq!(
        spoiled("</Storage>", "</Storage><Storage/>"),
        E::Missing {
            element: "Start",
            parent: "Storage".to_owned()
        }
    );
    assert_eq!(
        spoiled(
            "<Storage>",
            "<Volume><Parent>../a</Parent></Volume><Storage>"
        ),
        E::ParentVolume("../a".to_owned())
    );
    let engine = "{12345678-1111-4222-8333-444444444444}";
    assert_eq!(
        spoiled(
            "<Padding>",
            &format!("<Encryption><Engine>{engine}</Engine></Encryption><Padding>")
        ),
        E::Encrypted(engine.to_owned())
    );
    assert_eq!(
        spoiled("Compressed", "Squashed"),
        E::ImageType("Squashed".to_owned())
    );
    let text = || "010".to_owned();
    assert_eq!(
        spoiled("0x40", "010"),
        E::Number {
            element: "Blocksize",
            text: text()
        }
    );
    assert_eq!(
        spoiled("-860e329aab41}</GUID>", "}</GUID>"),
        E::Guid("{5FBAABE3-6958-40FF-92a7}".to_owned())
    );
}

#[test]
fn an_empty_parent_means_none_where_only_one_snapshot_has_none() {
    let null = "{00000000-0000-0000-0000-000000000000}";
    let one = SAMPLE.replace(null, " ");
    assert_eq!(
        Descriptor::parse(one.as_bytes()).unwrap().shots[0].parent,
        None
    );
    let other = "<Shot><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><ParentGUID/></Shot>";
    assert_eq!(
        spoiled("</Snapshots>", &format!("{other}</Snapshots>")),
        DescriptorError::ParentUnstated(Guid::CONSTANT_TOP)
    );
}

#[test]
fn a_missing_type_is_no_damage_and_no_label() {
    let text = SAMPLE.replace("<Type>Compressed</Type>", "");
    let read = Descriptor::parse(text.as_bytes()).unwrap();
    assert_eq!(read.storages[0].images[0].label, Label::Missing);
}

#[test]
fn images_are_refused_by_a_descriptor_that_is_damaged_too() {
    let refused = |text: &str| refuses_images(text.as_bytes());
    let engine = "<Engine>{12345678-1111-4222-8333-444444444444}</Engine>";
    let encrypted = |error| matches!(error, Some(DescriptorError::Encrypted(_)));
    assert_eq!(refused(SAMPLE), None);
    assert_eq!(
        refused("<a><Engine>{00000000-0000-0000-0000-000000000000}</Engine>"),
        None
    );
    assert!(encrypted(refused(&format!("<a>{engine}"))), "cut short");
    assert!(encrypted(refused(&SAMPLE.replacen(
        "<Padding>0",
        &format!("{engine}<Padding>z"),
        1
    ))));
    assert_eq!(
        refused("<Storage></Storage><Storage>"),
        Some(DescriptorError::Split(2))
    );
    assert_eq!(
        refused("<a><Padding>1</Padding>"),
        Some(DescriptorError::Padding(1))
    );
    assert_eq!(refused("<domain/>"), None);
}

#[test]
fn a_document_type_is_refused_so_that_no_entity_expands() {
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa">]><x><StorageData>&a;</StorageData></x>"#;
    assert!(matches!(
        Descriptor::parse(bomb.as_bytes()),
        Err(DescriptorError::Xml(_))
    ));
}

#[test]
fn a_document_that_is_all_attributes_or_namespaces_is_refused_before_it_is_parsed() {
    let many = |each: &dyn Fn(u32) -> String| (0..100_000).map(each).collect::<String>();
    for attributes in [
        many(&|n| format!(" a{n}=''")),
        many(&|n| format!(" xmlns:a{n}='u'")),
    ] {
        let text = SAMPLE.replacen("<Storage>", &format!("<Storage{attributes}>"), 1);
        let error = Descriptor::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error, DescriptorError::Attributes);
    }
}

#[test]
fn two_images_of_one_name_are_refused() {
    let error = spoiled(
        "{0f0f0f0f-1111-4222-8333-444444444444}",
        "{5fbaabe3-6958-40ff-92a7-860e329aab41}",
    );
    assert_eq!(error, DescriptorError::DuplicateImage(Guid::CONSTANT_TOP));
}

#[test]
fn guids_are_taken_with_and_without_braces_and_in_no_other_spelling() {
    let plain = "5fbaabe3-6958-40ff-92a7-860e329aab41";
    assert_eq!(plain.parse::<Guid>().unwrap(), Guid::CONSTANT_TOP);
    assert_eq!(Guid::CONSTANT_TOP.to_string(), format!("{{{plain}}}"));
    for wrong in [
        "",
        "{}",
        "{5fbaabe3-6958-40ff-92a7-860e329aab41",
        "5fbaabe3695840ff92a7860e329aab41",
    ] {
        assert!(wrong.parse::<Guid>().is_err(), "{wrong}");
    }
}
