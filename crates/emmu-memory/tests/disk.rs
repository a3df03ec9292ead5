//! The disk and its controller.

use emmu_core::{Bus, BusError, PhysAddr, Width};
use emmu_memory::{Disk, Memory};
use emmu_property::quickcheck;

const BLOCKS: u64 = 4;

fn at(offset: u64) -> PhysAddr {
    PhysAddr::new(0x1000_0000 + offset)
}

fn machine() -> Memory {
    Memory::ram(0x1000).with_device(at(0), Disk::SIZE, Disk::new(BLOCKS)).expect("no overlap")
}

fn disk(memory: &Memory) -> &Disk {
    memory.device(at(0)).expect("a disk")
}

fn command(memory: &mut Memory, block: u64, command: u64) -> Result<(), BusError> {
    memory.write(at(Disk::BLOCK), Width::B8, block)?;
    memory.write(at(Disk::COMMAND), Width::B8, command)
}

quickcheck! {
    fn blocks_read_as_last_written_and_others_as_zeros(ops: Vec<(u8, u8, bool)>) -> bool {
        let mut memory = machine();
        let mut model = [[0; 4096]; 4];
        for (block, fill, writes) in ops {
            let index = usize::from(block % 4);
            if writes {
                model[index] = [fill; 4096];
                memory.write_bytes(at(Disk::BUFFER), &model[index]).unwrap();
                command(&mut memory, index as u64, Disk::WRITE).unwrap();
            } else {
                let mut read = [!0; 4096];
                command(&mut memory, index as u64, Disk::READ).unwrap();
                memory.read_bytes(at(Disk::BUFFER), &mut read).unwrap();
                assert_eq!(read, model[index]);
            }
        }
        (0..4).zip(&model).all(|(number, expected)| match disk(&memory).block(number) {
            Some(block) => block == expected,
            None => *expected == [0; 4096],
        })
    }
}

#[test]
fn commands_are_counted() {
    let mut memory = machine();
    for block in 0..3 {
        command(&mut memory, block, Disk::WRITE).unwrap();
    }
    command(&mut memory, 0, Disk::READ).unwrap();
    assert_eq!((disk(&memory).reads(), disk(&memory).writes()), (1, 3));
}

#[test]
fn a_block_that_is_not_there_and_an_unknown_command_are_refused() {
    let mut memory = machine();
    let refused = Err(BusError::Refused { addr: at(Disk::COMMAND) });
    assert_eq!(command(&mut memory, BLOCKS, Disk::READ), refused);
    assert_eq!(command(&mut memory, u64::MAX, Disk::WRITE), refused);
    assert_eq!(command(&mut memory, 0, 3), refused);
    assert_eq!((disk(&memory).reads(), disk(&memory).writes()), (0, 0));
}

#[test]
fn registers_take_whole_words_in_their_direction_only() {
    let mut memory = machine();
    assert_eq!(memory.read(at(Disk::BLOCKS), Width::B8), Ok(BLOCKS));
    memory.write(at(Disk::BLOCK), Width::B8, 3).unwrap();
    assert_eq!(memory.read(at(Disk::BLOCK), Width::B8), Ok(3));
    assert!(memory.write(at(Disk::BLOCKS), Width::B8, 9).is_err());
    assert!(memory.read(at(Disk::COMMAND), Width::B8).is_err());
    assert!(memory.read(at(Disk::BLOCK), Width::B4).is_err());
    assert!(memory.write(at(Disk::BLOCK + 4), Width::B4, 1).is_err());
    assert!(memory.read(at(0x18), Width::B8).is_err());
    assert!(memory.write(at(Disk::BUFFER - 4), Width::B8, 1).is_err());
}

#[test]
fn the_buffer_takes_transfers_of_any_width_and_alignment() {
    let mut memory = machine();
    memory.write(at(Disk::BUFFER + 4091), Width::B4, 0x0403_0201).unwrap();
    assert_eq!(memory.read(at(Disk::BUFFER + 4092), Width::B2), Ok(0x0302));
    assert_eq!(memory.peek(at(Disk::BUFFER + 4094), Width::B1), Ok(4));
}
