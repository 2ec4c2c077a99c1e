//! The kernel half's object, with the calls filled in that have another number on every kernel.

use probe_common::CAST_PLACEHOLDER;

/// `BPF_JMP | BPF_CALL` (include/uapi/linux/bpf.h).
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL`, in the half of its byte that names the source register.
const OF_KERNEL_FUNCTION: u8 = 2 << 4;
/// An instruction's size, and what the object's own structures are aligned to.
const INSTRUCTION: usize = 8;

/// An object to load.
#[derive(Debug)]
pub struct Object {
    memory: Vec<u8>,
    start: usize,
}

impl Object {
    /// A copy of `original` that calls the kernel function `rdonly_cast` where it has the
    /// placeholder; without it, those calls stay what they are, and the verifier must not come to
    /// them.
    pub fn new(original: &[u8], rdonly_cast: Option<u32>) -> Self {
        let mut memory = vec![0; original.len() + INSTRUCTION];
        let start = memory.as_ptr().align_offset(INSTRUCTION);
        let copy = &mut memory[start..start + original.len()];
        copy.copy_from_slice(original);
        if let Some(function) = rdonly_cast {
            let call = |registers, number: u32| {
                let mut instruction = [CALL, registers, 0, 0, 0, 0, 0, 0];
                instruction[4..].copy_from_slice(&number.to_ne_bytes());
                instruction
            };
            let placeholder = call(0, CAST_PLACEHOLDER);
            for instruction in copy.chunks_exact_mut(INSTRUCTION) {
                if instruction == placeholder {
                    instruction.copy_from_slice(&call(OF_KERNEL_FUNCTION, function));
                }
            }
        }
        Self { memory, start }
    }

    /// The object's bytes, aligned for its reader.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.memory.len() - INSTRUCTION + self.start]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(instructions: &[u64]) -> Vec<u8> {
        let bytes = instructions.iter().map(|one| one.to_ne_bytes());
        bytes.flatten().collect()
    }

    #[test]
    fn only_the_placeholder_becomes_a_call_of_the_kernel() {
        let helper = 0x0000_0071_0000_0085;
        let placeholder = u64::from(CAST_PLACEHOLDER) << 32 | 0x85;
        let original = bytes(&[helper, placeholder, 0x95]);
        let filled_in = Object::new(&original, Some(77));
        assert_eq!(filled_in.bytes(), bytes(&[helper, 77 << 32 | 0x2085, 0x95]));
        assert_eq!(filled_in.bytes().as_ptr().addr() % INSTRUCTION, 0);
        assert_eq!(Object::new(&original, None).bytes(), original);
    }
}
