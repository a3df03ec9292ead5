//! Snapshots of memory: they hold the regions, and the bytes of RAM and ROM.
//!
//! Two memories with equal regions and bytes are written alike, even if their frames were first touched in
//! another order. Frames of zeros are not written. Devices are not written either: they belong to the host.

use super::Memory;
use crate::frames::{FRAME, Frames};
use crate::map::Map;
use crate::{Region, RegionKind};
use alloc::{collections::BTreeMap, vec::Vec};
use emmu_core::{PhysAddr, RAM_PAGE_BITS};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The snapshot as it is written: kind, first and last byte of each region; address and bytes of each frame.
#[derive(Serialize)]
#[serde(rename = "Memory")]
struct Shown<'a> {
    regions: Vec<(RegionKind, PhysAddr, PhysAddr)>,
    frames: Vec<(PhysAddr, &'a [u8])>,
}

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(rename = "Memory")]
struct Read {
    regions: Vec<(RegionKind, PhysAddr, PhysAddr)>,
    frames: Vec<(PhysAddr, Vec<u8>)>,
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let region = |region: &Region| (region.kind, region.start, region.last);
        let regions = self.regions().iter().map(region).collect();
        let mut frames = self.frames.by_address();
        frames.retain(|(_, bytes)| bytes.iter().any(|&byte| byte != 0));
        Shown { regions, frames }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { regions, frames } = Read::deserialize(deserializer)?;
        let map = mapped(&regions).map_err(D::Error::custom)?;
        let frames = filled(&frames, &map).map_err(D::Error::custom)?;
        Ok(Self { map, frames, devices: BTreeMap::new() })
    }
}

fn mapped(regions: &[(RegionKind, PhysAddr, PhysAddr)]) -> Result<Map, &'static str> {
    let mut map = Map::default();
    for &(kind, start, last) in regions {
        let follows = map.regions().last().is_none_or(|before| before.last < start);
        if last < start || !follows {
            return Err("regions: not by rising addresses, or one overlaps another");
        }
        map.insert(Region { start, last, kind }).map_err(|_| "regions: one overlaps another")?;
    }
    Ok(map)
}

/// Checks that every frame has the length of a frame, so that the memory which a snapshot allocates is in
/// proportion to the length of the snapshot.
fn filled(read: &[(PhysAddr, Vec<u8>)], map: &Map) -> Result<Frames, &'static str> {
    let mut frames = Frames::default();
    if !read.is_sorted_by(|(one, _), (other, _)| one < other) {
        return Err("frames: not by rising addresses, or one is there twice");
    }
    for (addr, bytes) in read {
        if addr.offset(RAM_PAGE_BITS) != 0 || bytes.len() != FRAME {
            return Err("frames: not a frame, or not its bytes");
        }
        if !is_memory(*addr, bytes, map) {
            return Err("frames: bytes where there is no RAM or ROM");
        }
        let no_room = |_| "frames: more than the host has memory for";
        frames.reserve(*addr, bytes.len()).map_err(no_room)?;
        frames.copy_in(*addr, bytes, |at| map.is_ram_frame(at));
    }
    Ok(frames)
}

/// Returns true if all bytes that are not zero lie in RAM or ROM.
fn is_memory(addr: PhysAddr, bytes: &[u8], map: &Map) -> bool {
    let is_device = |region: Region| region.kind == RegionKind::Device;
    let has_place = |at| map.find(at).is_some_and(|region| !is_device(region));
    let places = (0..).zip(bytes).filter(|(_, byte)| **byte != 0);
    map.is_ram_frame(addr) || places.into_iter().all(|(at, _)| has_place(addr.wrapping_add(at)))
}

#[cfg(test)]
mod tests {
    use crate::{Disk, Memory};
    use alloc::{string::ToString, vec, vec::Vec};
    use emmu_core::{Bus, BusError, PhysAddr, Width};
    use emmu_property::quickcheck;

    const DISK: PhysAddr = PhysAddr::new(0x10_0000);

    /// Makes a machine with RAM, a ROM that shares the last frame of the RAM, and a disk.
    fn machine() -> Memory {
        Memory::ram(0x4800)
            .with_rom(PhysAddr::new(0x4800), 0x400)
            .and_then(|memory| memory.with_device(DISK, Disk::SIZE, Disk::new(10)))
            .unwrap()
    }

    fn copied(memory: &Memory) -> postcard::Result<Memory> {
        postcard::from_bytes(&postcard::to_allocvec(memory)?)
    }

    quickcheck! {
        fn what_is_read_back_holds_the_same_bytes(writes: Vec<(u16, u64)>, later: Vec<(u16, u64)>) -> bool {
            let write = |memory: &mut Memory, (at, value): (u16, u64)| {
                memory.write(PhysAddr::new(u64::from(at) % 0x5000), Width::B8, value)
            };
            let mut memory = machine();
            writes.into_iter().for_each(|one| _ = write(&mut memory, one));
            let mut again = copied(&memory).unwrap();
            let alike = later.into_iter().all(|one| write(&mut memory, one) == write(&mut again, one));
            let read = |memory: &mut Memory| {
                let mut bytes = vec![0; 0x4c00];
                memory.read_bytes(PhysAddr::ZERO, &mut bytes).map(|()| bytes)
            };
            alike && read(&mut memory) == read(&mut again) && memory.regions() == again.regions()
        }
    }

    #[test]
    fn a_device_is_put_back_by_the_host() {
        let mut memory = machine();
        memory.write(DISK.wrapping_add(Disk::BLOCK), Width::B8, 7).unwrap();
        let mut again = copied(&memory).unwrap();
        let at = DISK.wrapping_add(Disk::BLOCK);
        assert_eq!(again.read(at, Width::B8), Err(BusError::Refused { addr: at }));
        let disk = memory.device::<Disk>(DISK).unwrap();
        let disk: Disk = postcard::from_bytes(&postcard::to_allocvec(disk).unwrap()).unwrap();
        assert!(again.set_device(DISK, disk.clone()));
        assert_eq!(again.read(at, Width::B8), Ok(7));
        assert!(!again.set_device(PhysAddr::ZERO, disk), "there is RAM");
    }

    #[test]
    fn memories_of_the_same_bytes_are_written_alike() {
        let [mut one, mut other] = [machine(), machine()];
        for addr in [0x1000, 0x3000] {
            one.write(PhysAddr::new(addr), Width::B1, 1).unwrap();
            other.write(PhysAddr::new(0x4000 - addr), Width::B1, 1).unwrap();
        }
        other.write(PhysAddr::new(0x2000), Width::B1, 0).unwrap();
        assert_eq!(postcard::to_allocvec(&one), postcard::to_allocvec(&other));
    }

    /// Returns the reason why this snapshot is refused.
    fn wrong(regions: &[(u8, u64, u64)], frames: &[(u64, Vec<u8>)]) -> &'static str {
        let regions = regions.iter().map(|&(kind, start, last)| {
            let kind = [crate::RegionKind::Ram, crate::RegionKind::Device][usize::from(kind)];
            (kind, PhysAddr::new(start), PhysAddr::new(last))
        });
        let regions: Vec<_> = regions.collect();
        let frames: Vec<_> =
            frames.iter().map(|(addr, bytes)| (PhysAddr::new(*addr), bytes.clone())).collect();
        super::mapped(&regions).and_then(|map| super::filled(&frames, &map)).err().unwrap_or("")
    }

    #[test]
    fn what_no_memory_can_be_is_refused_by_the_name_of_the_field() {
        let ones = || vec![1; 0x1000];
        assert_eq!(wrong(&[(0, 0, 0xfff)], &[(0, ones())]), "");
        assert!(wrong(&[(0, 5, 4)], &[]).starts_with("regions:"));
        assert!(wrong(&[(0, 0, 5), (0, 5, 6)], &[]).starts_with("regions:"));
        assert!(wrong(&[(0, 0, 0xfff)], &[(0, vec![1])]).starts_with("frames: not a frame"));
        assert!(wrong(&[(0, 0, 0xfff)], &[(8, ones())]).starts_with("frames: not a frame"));
        assert!(wrong(&[(0, 0, 0xffe)], &[(0, ones())]).starts_with("frames: bytes"));
        assert!(wrong(&[(1, 0, 0xfff)], &[(0, ones())]).starts_with("frames: bytes"));
        let twice = [(0, ones()), (0, ones())];
        assert!(wrong(&[(0, 0, 0xfff)], &twice).starts_with("frames: not by rising"));
    }

    #[test]
    fn a_forged_length_is_an_error_and_no_allocation() {
        // This snapshot has no regions, and claims the largest possible number of frames.
        let forged = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let refused = postcard::from_bytes::<Memory>(&forged).unwrap_err();
        assert!(!refused.to_string().is_empty());
    }
}
