//! The four managers as lists of numbers, to judge real ones by.

use super::ReferenceModels;
use emmu_vectors::heap::{Description, Manager, Order, Placed, Policy, Search, State, Subject};

impl Subject for ReferenceModels {
    fn build(&mut self, heap: &Description) -> Result<Box<dyn Manager>, String> {
        Ok(match *heap {
            Description::FreeSpace { base, size, .. } => {
                Box::new(FreeSpace { rules: heap.clone(), free: vec![(base, size)], size })
            }
            Description::NextFit { unit, min_growth, limit } => {
                Box::new(NextFit { unit, min_growth, limit, end: 0, rover: None, free: vec![] })
            }
            Description::FirstFit { size, min_block } => {
                Box::new(FirstFit { size, min_block, free: vec![(0, size)] })
            }
            Description::Buddy { start, frames, max_order } => {
                Box::new(Buddy::new(start, frames, max_order))
            }
        })
    }
}

/// An address and a size.
type Region = (u64, u64);

/// Puts a region into a list by address, merged with both neighbours; the place where it is then.
fn put_back(free: &mut Vec<Region>, (at, size): Region) -> usize {
    let place = free.iter().filter(|(other, _)| *other < at).count();
    free.insert(place, (at, size));
    if place + 1 < free.len() && at + size == free[place + 1].0 {
        free[place].1 += free.remove(place + 1).1;
    }
    if place > 0 && free[place - 1].0 + free[place - 1].1 == at {
        free[place - 1].1 += free.remove(place).1;
        return place - 1;
    }
    place
}

struct FreeSpace {
    rules: Description,
    free: Vec<Region>,
    size: u64,
}

impl FreeSpace {
    fn header(&self) -> u64 {
        let Description::FreeSpace { header, .. } = self.rules else { return 0 };
        header
    }

    /// A request of no bytes gets one.
    fn need(&self, size: u64) -> u64 {
        let Description::FreeSpace { header, align, .. } = self.rules else { return size };
        (size.div_ceil(align) * align + header).max(1)
    }

    fn choose(&self, need: u64) -> Option<usize> {
        let Description::FreeSpace { policy, .. } = self.rules else { return None };
        let fits = |place: &usize| self.free[*place].1 >= need;
        let mut places = (0..self.free.len()).filter(fits);
        match policy {
            Policy::First => places.next(),
            Policy::Best => places.min_by_key(|place| self.free[*place].1),
            // The first of the largest: the last of the largest of the list read backwards.
            Policy::Worst => places.rev().max_by_key(|place| self.free[*place].1),
        }
    }
}

impl Manager for FreeSpace {
    fn allocate(&mut self, size: u64, _: u64) -> Result<Search, String> {
        let (need, length) = (self.need(size), self.free.len() as u64);
        let Some(place) = self.choose(need) else {
            return Ok(Search { found: None, searched: length });
        };
        let Description::FreeSpace { policy, .. } = self.rules else { return Err(String::new()) };
        let searched = if policy == Policy::First { place as u64 + 1 } else { length };
        let (block, there) = self.free[place];
        match there - need {
            0 => drop(self.free.remove(place)),
            rest => self.free[place] = (block + need, rest),
        }
        let found = Placed { payload: block + self.header(), block, size: need };
        Ok(Search { found: Some(found), searched })
    }

    fn free(&mut self, payload: u64, size: u64, _: u64) -> Result<(), String> {
        let Description::FreeSpace { order, coalesce, .. } = self.rules else { return Ok(()) };
        self.free.push((payload - self.header(), self.need(size)));
        match order {
            Order::Address => self.free.sort_by_key(|(at, _)| *at),
            Order::SizeAscending => self.free.sort_by_key(|(_, size)| *size),
            Order::SizeDescending => self.free.sort_by(|(_, a), (_, b)| b.cmp(a)),
            Order::Front => self.free.rotate_right(1),
            Order::Back => {}
        }
        let mut merged: Vec<Region> = Vec::new();
        for (at, size) in self.free.drain(..) {
            match merged.last_mut() {
                Some(last) if coalesce && last.0 + last.1 == at => last.1 += size,
                _ => merged.push((at, size)),
            }
        }
        self.free = merged;
        Ok(())
    }

    fn state(&mut self) -> Result<State, String> {
        Ok(State { free: self.free.clone(), size: self.size, ..State::default() })
    }
}

struct NextFit {
    unit: u64,
    min_growth: u64,
    limit: u64,
    end: u64,
    rover: Option<u64>,
    free: Vec<Region>,
}

impl NextFit {
    fn need(&self, size: u64) -> u64 {
        (size.div_ceil(self.unit) + 1) * self.unit
    }

    /// The first place after the rover, and around, where so much is free.
    fn find(&self, need: u64) -> Option<usize> {
        let after = |(at, _): &&Region| self.rover.is_some_and(|rover| *at <= rover);
        let first = self.free.iter().filter(after).count();
        let around = (first..self.free.len()).chain(0..first);
        around.into_iter().find(|place| self.free[*place].1 >= need)
    }

    fn put(&mut self, region: Region) {
        let place = put_back(&mut self.free, region);
        let merged = self.free[place].0 < region.0;
        let below = place.checked_sub(1).map(|below| self.free[below].0);
        self.rover = if merged { Some(self.free[place].0) } else { below };
    }
}

impl Manager for NextFit {
    fn allocate(&mut self, size: u64, _: u64) -> Result<Search, String> {
        let need = self.need(size);
        if self.find(need).is_none() && self.end + need.max(self.min_growth) <= self.limit {
            let more = need.max(self.min_growth);
            self.put((self.end, more));
            self.end += more;
        }
        let Some(place) = self.find(need) else { return Ok(Search { found: None, searched: 0 }) };
        let (at, there) = self.free[place];
        self.rover = place.checked_sub(1).map(|below| self.free[below].0);
        match there - need {
            0 => drop(self.free.remove(place)),
            rest => self.free[place].1 = rest,
        }
        let block = at + there - need;
        let found = Placed { payload: block + self.unit, block, size: need };
        Ok(Search { found: Some(found), searched: 0 })
    }

    fn free(&mut self, payload: u64, size: u64, _: u64) -> Result<(), String> {
        self.put((payload - self.unit, self.need(size)));
        Ok(())
    }

    fn state(&mut self) -> Result<State, String> {
        let Self { end, rover, .. } = *self;
        Ok(State { free: self.free.clone(), size: end, end, rover })
    }
}

struct FirstFit {
    size: u64,
    min_block: u64,
    free: Vec<Region>,
}

impl FirstFit {
    fn need(&self, size: u64) -> u64 {
        size.next_multiple_of(8).max(self.min_block)
    }

    /// Where in a hole the block would start.
    fn start(&self, (at, size): Region, need: u64, align: u64) -> Option<u64> {
        let aligned = at.next_multiple_of(align);
        let start = if aligned == at { at } else { (at + self.min_block).next_multiple_of(align) };
        let tail = (at + size).checked_sub(start + need)?;
        (tail == 0 || tail >= self.min_block).then_some(start)
    }
}

impl Manager for FirstFit {
    fn allocate(&mut self, size: u64, align: u64) -> Result<Search, String> {
        let need = self.need(size);
        for (place, hole) in self.free.clone().into_iter().enumerate() {
            let searched = place as u64 + 1;
            if let Some(block) = self.start(hole, need, align) {
                let rest =
                    [(hole.0, block - hole.0), (block + need, hole.0 + hole.1 - block - need)];
                let rest = rest.into_iter().filter(|(_, size)| *size > 0);
                self.free.splice(place..=place, rest);
                let found = Placed { payload: block, block, size: need };
                return Ok(Search { found: Some(found), searched });
            }
        }
        Ok(Search { found: None, searched: self.free.len() as u64 })
    }

    fn free(&mut self, payload: u64, size: u64, _: u64) -> Result<(), String> {
        let region = (payload, self.need(size));
        put_back(&mut self.free, region);
        Ok(())
    }

    fn state(&mut self) -> Result<State, String> {
        Ok(State { free: self.free.clone(), size: self.size, end: self.size, rover: None })
    }
}

struct Buddy {
    start: u64,
    frames: u64,
    max_order: u8,
    free: Vec<Region>,
}

impl Buddy {
    fn new(start: u64, frames: u64, max_order: u8) -> Self {
        let mut buddy = Self { start, frames, max_order, free: vec![] };
        // Frame by frame: merging makes the largest blocks of it.
        for frame in start..start + frames {
            buddy.put(frame, 1);
        }
        buddy
    }

    fn put(&mut self, at: u64, size: u64) {
        let buddy = (at ^ size, size);
        match self.free.iter().position(|region| *region == buddy) {
            Some(place) if size < 1 << self.max_order => {
                self.free.remove(place);
                self.put(at.min(buddy.0), 2 * size);
            }
            _ => self.free.push((at, size)),
        }
        self.free.sort_by_key(|(at, size)| (*size, *at));
    }

    fn need(size: u64) -> u64 {
        size.next_power_of_two()
    }
}

impl Manager for Buddy {
    fn allocate(&mut self, size: u64, _: u64) -> Result<Search, String> {
        let need = Self::need(size);
        let place = self.free.iter().position(|(_, size)| *size >= need);
        let Some(place) = place else { return Ok(Search { found: None, searched: 0 }) };
        let (at, mut there) = self.free.remove(place);
        while there > need {
            there /= 2;
            self.free.push((at + there, there));
        }
        self.free.sort_by_key(|(at, size)| (*size, *at));
        let found = Placed { payload: at, block: at, size: need };
        Ok(Search { found: Some(found), searched: 0 })
    }

    fn free(&mut self, payload: u64, size: u64, _: u64) -> Result<(), String> {
        self.put(payload, Self::need(size));
        Ok(())
    }

    fn state(&mut self) -> Result<State, String> {
        let end = self.start + self.frames;
        Ok(State { free: self.free.clone(), size: self.frames, end, rover: None })
    }
}
