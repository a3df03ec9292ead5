//! Tests of images: a written image can be read, and an error names what is wrong.

use emmu_core::{VirtAddr, Width};
use emmu_os::{Image, ImageError, Layout, LayoutError, Reference, Region, Rights};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// An image of up to four regions with up to four references each.
#[derive(Clone, Debug)]
struct AnyImage(Image);

impl Arbitrary for AnyImage {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut start = u64::from(u16::arbitrary(g));
        let mut regions = Vec::new();
        for index in 0..=u8::arbitrary(g) % 4 {
            let rights = Rights::from_bits_truncate(u8::arbitrary(g));
            let rights = if index == 0 { rights | Rights::EXECUTE } else { rights };
            let region = any_region(start, rights, g);
            start = region.end().raw() + u64::from(u16::arbitrary(g));
            regions.push(region);
        }
        let entry = VirtAddr::new(regions[0].start().raw());
        Self(Image::new(entry, Layout::new(regions).unwrap()).unwrap())
    }
}

fn any_region(start: u64, rights: Rights, g: &mut Gen) -> Region {
    let image = Vec::<u8>::arbitrary(g);
    let len = image.len() as u64;
    let words = (0..len / 8).filter_map(|word| match u8::arbitrary(g) % 3 {
        0 => Some(Reference::word4(8 * word + 4)),
        1 => Some(Reference::word8(8 * word)),
        _ => None,
    });
    let words: Vec<_> = words.take(4).collect();
    let region = Region::new(VirtAddr::new(start), len + 1 + u64::from(u8::arbitrary(g)), rights);
    region.unwrap().with_image(image).unwrap().with_references(words).unwrap()
}

quickcheck! {
    fn an_image_that_is_written_is_read_again(image: AnyImage) -> bool {
        Image::read(&image.0.to_bytes()) == Ok(image.0)
    }

    fn any_bytes_are_an_image_that_is_written_alike_or_an_error(bytes: Vec<u8>) -> bool {
        let with_magic = [&Image::MAGIC[..], &bytes].concat();
        [bytes, with_magic].iter().all(|file| is_stable_or_refused(file))
    }

    fn an_image_with_changed_bytes_is_one_that_is_written_alike_or_an_error(
        image: AnyImage,
        changes: Vec<(usize, u8)>
    ) -> bool {
        let mut file = image.0.to_bytes();
        let len = file.len();
        changes.into_iter().for_each(|(at, byte)| file[at % len] = byte);
        is_stable_or_refused(&file)
    }

    fn a_cut_image_is_truncated(image: AnyImage, at: usize) -> bool {
        let file = image.0.to_bytes();
        let cut = &file[..at % file.len()];
        matches!(Image::read(cut), Err(ImageError::Truncated { at, .. }) if at <= cut.len())
    }
}

/// Sections can be in any order in a file, and are written by rising addresses; but that changes nothing.
fn is_stable_or_refused(file: &[u8]) -> bool {
    match Image::read(file) {
        Ok(image) => Image::read(&image.to_bytes()) == Ok(image),
        Err(error) => error.to_string().len() > "byte 0".len(),
    }
}

/// A word that refers to itself, at 0x10, in a region of 32 bytes.
fn small() -> Vec<u8> {
    let text = Region::new(VirtAddr::new(0x10), 0x20, Rights::RX).unwrap();
    let text = text.with_image(vec![0x10, 0, 0, 0]).unwrap();
    let text = text.with_references(vec![Reference::word4(0)]).unwrap();
    Image::new(VirtAddr::new(0x10), Layout::new([text]).unwrap()).unwrap().to_bytes()
}

#[test]
fn the_file_is_what_its_description_says() {
    let expected: Vec<u8> = [
        b"EMI1\x01\0\0\0\x01\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0".as_slice(),
        b"\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x04\0\0\0\x05\0\0\0",
        b"\x10\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0",
        b"\x10\0\0\0",
    ]
    .concat();
    assert_eq!(small(), expected);
}

/// Returns the reason why the small image is refused with this in place of the bytes at `at`.
fn refusal(at: usize, bytes: &[u8]) -> String {
    let mut file = small();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    Image::read(&file).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    assert_eq!(refusal(0, b"ELF"), "byte 0: expected \"EMI1\"");
    assert_eq!(refusal(12, &[1]), "byte 12: a reserved field is 0x1; expected 0");
    assert_eq!(
        refusal(4, &u32::MAX.to_le_bytes()),
        "byte 24: expected the sections of 103079215080 bytes, found 44"
    );
    assert_eq!(refusal(44, &[8]), "byte 44: rights is 0x8; expected bits 0 to 2 only");
    assert_eq!(refusal(56, &[2]), "byte 56: the width of a reference is 0x2; expected 4 or 8");
    assert_eq!(refusal(48, &[0x11]), "the reference at 0x11 is in no section's bytes");
    assert_eq!(refusal(16, &[8]), "the program begins at 0x8, where nothing can be executed");
    assert_eq!(refusal(40, &[0x21]), "byte 64: expected a section's content of 33 bytes, found 4");
    assert_eq!(refusal(32, &[3]), "the region at 0x10 has 0x3 bytes, and its image 0x4");
}

#[test]
fn bytes_after_the_end_are_refused() {
    let file = [small(), vec![0; 3]].concat();
    assert_eq!(Image::read(&file), Err(ImageError::TooLong { at: 68, left: 3 }));
}

#[test]
fn references_that_overlap_or_fall_are_refused() {
    let two = |first: u64, second: u64| {
        let references = [first, second]
            .map(|addr| [&addr.to_le_bytes()[..], &8u32.to_le_bytes(), &[0; 4]].concat());
        let file = [
            b"EMI1\x01\0\0\0\x02\0\0\0\0\0\0\0".as_slice(),
            &[0; 8],
            &[0; 8],
            &0x20u64.to_le_bytes(),
            &0x20u32.to_le_bytes(),
            &5u32.to_le_bytes(),
            &references.concat(),
            &[0; 0x20],
        ];
        Image::read(&file.concat()).map(drop)
    };
    assert_eq!(two(0, 8), Ok(()));
    for (first, second) in [(0, 7), (8, 8), (8, 0), (u64::MAX, 0)] {
        let refused = two(first, second).unwrap_err();
        assert!(matches!(refused, ImageError::Field { at: 64, .. }), "{refused}");
    }
}

#[test]
fn sections_that_overlap_are_refused() {
    let section = |start: u64| {
        [&start.to_le_bytes()[..], &0x20u64.to_le_bytes(), &[0; 4], &5u32.to_le_bytes()].concat()
    };
    let header = [&b"EMI1\x02\0\0\0"[..], &[0; 16]].concat();
    let file = [header, section(0), section(0x1f)].concat();
    let (lower, upper) = (VirtAddr::ZERO, VirtAddr::new(0x1f));
    let overlap = ImageError::Layout(LayoutError::Overlap { lower, upper });
    assert_eq!(Image::read(&file), Err(overlap));
}

#[test]
fn a_reference_has_four_or_eight_bytes() {
    assert_eq!(Reference::new(3, Width::B4), Some(Reference::word4(3)));
    assert_eq!(Reference::new(3, Width::B8), Some(Reference::word8(3)));
    assert_eq!(Reference::new(3, Width::B1), None);
}
