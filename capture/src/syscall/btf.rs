//! Finds members of kernel structures in the host's BTF.
//!
//! Two passes over the type section: one notes where each type starts and which wanted structures there are, the
//! look-ups then follow member lists. Format: the kernel's Documentation/bpf/btf.rst. Whatever the bytes hold,
//! nothing here panics or loops without bound; what cannot be found is `None`.

use std::collections::BTreeMap;

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: usize = 24;
const TYPE_LEN: usize = 12;
const MEMBER_LEN: usize = 12;
const ENUMERATOR_LEN: usize = 8;
// Typedefs, qualifiers and anonymous members nest this deep at most; real ones stay below eight.
const DEPTH_MAX: u32 = 32;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// The host's type information, indexed for look-ups of structure members.
pub(super) struct KernelTypes<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Start of each type in `types`, by type id minus one.
    starts: Vec<u32>,
    structs: BTreeMap<&'a [u8], usize>,
    enums: BTreeMap<&'a [u8], usize>,
    /// The type that each of the wanted names stands for.
    typedefs: BTreeMap<&'a [u8], u32>,
    /// Their ids.
    functions: BTreeMap<&'a [u8], u32>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    size_or_type: u32,
}

impl Type {
    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    fn members(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Bytes that follow the fixed part; `None` for a kind that is not known.
    fn trailer_len(self) -> Option<usize> {
        let n = self.members();
        Some(match self.kind() {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
            KIND_ARRAY => 12,
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => n * 12,
            KIND_ENUM | KIND_FUNC_PROTO => n * 8,
            KIND_PTR | 7..=12 | 16 | KIND_TYPE_TAG => 0,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy)]
struct Member {
    name: u32,
    type_id: u32,
    bit_offset: u32,
}

impl<'a> KernelTypes<'a> {
    /// Indexes raw BTF. `wanted` names the structures, enumerations, typedefs and functions that look-ups will start from.
    pub(super) fn parse(data: &'a [u8], wanted: &[&str]) -> Option<Self> {
        let magic = u16::from_ne_bytes(data.get(..2)?.try_into().ok()?);
        let header_len = word(data, 4)? as usize;
        if magic != MAGIC || header_len < HEADER_LEN {
            return None;
        }
        let section = |offset: usize, len: usize| -> Option<&'a [u8]> {
            let start = header_len.checked_add(word(data, offset)? as usize)?;
            data.get(start..start.checked_add(word(data, len)? as usize)?)
        };
        let mut this = Self {
            types: section(8, 12)?,
            strings: section(16, 20)?,
            starts: Vec::new(),
            structs: BTreeMap::new(),
            enums: BTreeMap::new(),
            typedefs: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        this.index(wanted);
        Some(this)
    }

    fn index(&mut self, wanted: &[&str]) {
        let mut wanted: Vec<&[u8]> = wanted.iter().map(|name| name.as_bytes()).collect();
        wanted.sort_unstable();
        let mut at = 0;
        while let Some(ty) = self.type_at(at) {
            // A kind from a later kernel ends the scan: nothing behind it can be located.
            let Some(trailer) = ty.trailer_len() else {
                return;
            };
            self.starts.push(at as u32);
            if ty.kind() == KIND_STRUCT && ty.members() > 0 {
                let name = self.string(ty.name);
                if wanted.binary_search(&name).is_ok() {
                    self.structs.entry(name).or_insert(at);
                }
            }
            if ty.kind() == KIND_ENUM {
                let name = self.enumeration(at, ty);
                if wanted.binary_search(&name).is_ok() {
                    self.enums.entry(name).or_insert(at);
                }
            }
            if ty.kind() == KIND_TYPEDEF {
                let name = self.string(ty.name);
                if wanted.binary_search(&name).is_ok() {
                    self.typedefs.entry(name).or_insert(ty.size_or_type);
                }
            }
            if ty.kind() == KIND_FUNC {
                let name = self.string(ty.name);
                if wanted.binary_search(&name).is_ok() {
                    // Ids count from one.
                    self.functions.entry(name).or_insert(self.starts.len() as u32);
                }
            }
            at += TYPE_LEN + trailer;
        }
    }

    /// The name of an enumeration; one without goes by its first value's.
    fn enumeration(&self, at: usize, ty: Type) -> &'a [u8] {
        let name = match ty.name {
            0 => word(self.types, at + TYPE_LEN).filter(|_| ty.members() > 0),
            name => Some(name),
        };
        name.map_or(&[], |name| self.string(name))
    }

    /// Byte offset of `struct.member.member`, the byte size of a bare `struct`, or the number that is `enumeration.NAME`.
    pub(super) fn find(&self, path: &str) -> Option<u32> {
        let mut parts = path.split('.');
        let first = parts.next()?;
        let Some(&(mut at)) = self.structs.get(first.as_bytes()) else {
            return self.value(first, parts.next()?);
        };
        let mut bits = 0u32;
        let mut is_size = true;
        for part in parts {
            let (offset, type_id) = self.member(at, part.as_bytes(), DEPTH_MAX)?;
            bits = bits.checked_add(offset)?;
            is_size = false;
            // The last member may be of any type; only a further step needs a structure.
            at = self.structure(type_id).unwrap_or(usize::MAX);
        }
        if is_size {
            return Some(self.type_at(at)?.size_or_type);
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// The value of a name in an enumeration.
    pub(super) fn value(&self, enumeration: &str, name: &str) -> Option<u32> {
        let at = *self.enums.get(enumeration.as_bytes())?;
        (0..self.type_at(at)?.members()).find_map(|i| {
            let entry = at + TYPE_LEN + i * ENUMERATOR_LEN;
            let is_it = self.string(word(self.types, entry)?) == name.as_bytes();
            is_it.then(|| word(self.types, entry + 4)).flatten()
        })
    }

    /// The id of a structure's type.
    pub(super) fn structure_id(&self, name: &str) -> Option<u32> {
        let at = *self.structs.get(name.as_bytes())?;
        let index = self.starts.binary_search(&(at as u32)).ok()?;
        Some(index as u32 + 1)
    }

    /// The id of a function.
    pub(super) fn function_id(&self, name: &str) -> Option<u32> {
        self.functions.get(name.as_bytes()).copied()
    }

    /// How many arguments a function has whose pointer is this typedef.
    pub(super) fn arguments(&self, typedef: &str) -> Option<usize> {
        let pointer = self.typed(*self.typedefs.get(typedef.as_bytes())?)?;
        let function = self.typed((pointer.kind() == KIND_PTR).then_some(pointer.size_or_type)?)?;
        (function.kind() == KIND_FUNC_PROTO).then(|| function.members())
    }

    fn typed(&self, type_id: u32) -> Option<Type> {
        self.type_at(*self.starts.get((type_id as usize).checked_sub(1)?)? as usize)
    }

    /// Bit offset and type of a member, looking into anonymous members too.
    fn member(&self, at: usize, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let ty = self.type_at(at)?;
        if !matches!(ty.kind(), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for i in 0..ty.members() {
            let member = self.member_at(at + TYPE_LEN + i * MEMBER_LEN)?;
            // With the kind flag the upper byte is the size of a bit field.
            let offset = if ty.info >> 31 == 1 {
                member.bit_offset & 0xff_ffff
            } else {
                member.bit_offset
            };
            let member_name = self.string(member.name);
            if member_name == name {
                return Some((offset, member.type_id));
            }
            if member_name.is_empty()
                && depth > 0
                && let Some(inner) = self.structure(member.type_id)
                && let Some((inner_offset, type_id)) = self.member(inner, name, depth - 1)
            {
                return Some((offset.checked_add(inner_offset)?, type_id));
            }
        }
        None
    }

    /// Where the structure behind typedefs and qualifiers starts.
    fn structure(&self, mut type_id: u32) -> Option<usize> {
        for _ in 0..DEPTH_MAX {
            let at = *self.starts.get((type_id as usize).checked_sub(1)?)? as usize;
            let ty = self.type_at(at)?;
            match ty.kind() {
                KIND_STRUCT | KIND_UNION => return Some(at),
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => type_id = ty.size_or_type,
                _ => return None,
            }
        }
        None
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let [name, info, size_or_type] = words(self.types, at)?;
        Some(Type {
            name,
            info,
            size_or_type,
        })
    }

    fn member_at(&self, at: usize) -> Option<Member> {
        let [name, type_id, bit_offset] = words(self.types, at)?;
        Some(Member {
            name,
            type_id,
            bit_offset,
        })
    }

    fn string(&self, offset: u32) -> &'a [u8] {
        let tail = self.strings.get(offset as usize..).unwrap_or_default();
        tail.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn words(data: &[u8], at: usize) -> Option<[u32; 3]> {
    Some([
        word(data, at)?,
        word(data, at.checked_add(4)?)?,
        word(data, at.checked_add(8)?)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF with `struct outer { int a; struct { int b; } anon; inner_t c:…; }` built by hand.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0inner\0c\0inner_t\0fn_t\0fn\0";
        let name = |wanted: &str| {
            let needle: Vec<u8> = [&[0], wanted.as_bytes(), &[0]].concat();
            strings
                .windows(needle.len())
                .position(|window| window == needle)
                .expect("in the sample") as u32
                + 1
        };
        let words: Vec<u32> = [
            vec![name("int"), KIND_INT << 24, 4, 32],
            vec![0, KIND_STRUCT << 24 | 1, 4, name("b"), 1, 0],
            vec![name("inner"), KIND_STRUCT << 24 | 1, 4, name("b"), 1, 0],
            vec![name("inner_t"), KIND_TYPEDEF << 24, 3],
            vec![
                name("outer"),
                KIND_STRUCT << 24 | 3,
                12,
                name("a"),
                1,
                0,
                0,
                2,
                32,
                name("c"),
                4,
                64,
            ],
            vec![0, KIND_FUNC_PROTO << 24 | 2, 1, 0, 1, 0, 1],
            vec![0, KIND_PTR << 24, 6],
            vec![name("fn_t"), KIND_TYPEDEF << 24, 7],
            vec![name("outer"), KIND_ENUM << 24 | 2, 4, name("a"), 3, name("b"), 5],
            vec![0, KIND_ENUM << 24 | 2, 4, name("c"), 0, name("a"), 7],
            vec![name("fn"), KIND_FUNC << 24, 6],
        ]
        .concat();
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut data = MAGIC.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        for word in [HEADER_LEN, 0, types.len(), types.len(), strings.len()] {
            data.extend((word as u32).to_ne_bytes());
        }
        data.extend(types);
        data.extend(strings);
        data
    }

    #[test]
    fn members_are_found_through_anonymous_structs_and_typedefs() {
        let data = sample();
        let types = KernelTypes::parse(&data, &["outer"]).expect("parses");
        assert_eq!(types.find("outer"), Some(12));
        assert_eq!(types.find("outer.a"), Some(0));
        assert_eq!(types.find("outer.b"), Some(4));
        assert_eq!(types.find("outer.c"), Some(8));
        assert_eq!(types.find("outer.c.b"), Some(8));
        assert_eq!(types.find("outer.a.b"), None);
        assert_eq!(types.find("outer.d"), None);
        assert_eq!(types.find("inner"), None, "not asked for");
    }

    #[test]
    fn arguments_of_a_function_behind_a_typedef() {
        let data = sample();
        let types = KernelTypes::parse(&data, &["fn_t", "inner_t"]).expect("parses");
        assert_eq!(types.arguments("fn_t"), Some(2));
        assert_eq!(types.arguments("inner_t"), None, "no function");
        assert_eq!(types.arguments("other"), None);
    }

    #[test]
    fn ids_count_from_one() {
        let data = sample();
        let types = KernelTypes::parse(&data, &["outer", "fn"]).expect("parses");
        assert_eq!(
            (types.structure_id("outer"), types.function_id("fn")),
            (Some(5), Some(11))
        );
        assert_eq!((types.structure_id("inner"), types.function_id("fn_t")), (None, None));
    }

    #[test]
    fn values_of_an_enumeration() {
        let data = sample();
        let types = KernelTypes::parse(&data, &["outer"]).expect("parses");
        let value = |name| types.value("outer", name);
        assert_eq!((value("a"), value("b"), value("c")), (Some(3), Some(5), None));
        assert_eq!(types.value("inner", "a"), None);
        let types = KernelTypes::parse(&data, &["c"]).expect("parses");
        assert_eq!(types.find("c.a"), Some(7), "one without a name");
    }

    #[test]
    fn damaged_btf_gives_none_and_never_panics() {
        let data = sample();
        for len in 0..data.len() {
            if let Some(types) = KernelTypes::parse(&data[..len], &["outer", "fn_t"]) {
                let _ = (types.find("outer.c.b"), types.arguments("fn_t"));
            }
        }
        for at in 0..data.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = data.clone();
                damaged[at] = value;
                if let Some(types) = KernelTypes::parse(&damaged, &["outer", "fn_t"]) {
                    let _ = (
                        types.find("outer"),
                        types.arguments("fn_t"),
                        types.find("outer.b"),
                        types.value("outer", "b"),
                        types.find("outer.c.b"),
                    );
                }
            }
        }
    }
}
