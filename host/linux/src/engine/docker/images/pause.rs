//! The image of holders: one program that waits, 130 bytes, made here and pulled from nowhere.
//!
//! A holder keeps a network namespace for the tasks of a group. It needs no file system, no shell and no library, so
//! its image is one ELF file written out below.

use bollard::query_parameters::CreateImageOptions;
use bytes::Bytes;
use futures_util::StreamExt;
use longshore_core::{
    error::{HostError, Result},
    image::Image,
};

use super::Docker;

/// Its reference, as drivers ask for it.
pub(in super::super) const REFERENCE: &str = "longshore/pause:1";

impl Docker {
    /// Imports the image, unless it is there.
    pub(super) async fn import_pause(&self) -> Result<Image> {
        if let Some(image) = self.find_image(REFERENCE).await? {
            return Ok(image);
        }
        let archive = program().map(|program| archive("pause", &program)).ok_or_else(|| {
            HostError::Unavailable(format!("no holder is built in for {}; set infra_image", std::env::consts::ARCH))
        })?;
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            // With its tag: Podman heeds no other.
            repo: Some(REFERENCE.into()),
            changes: vec![r#"ENTRYPOINT ["/pause"]"#.into()],
            ..CreateImageOptions::default()
        };
        let client = self.engine.client()?;
        let body = bollard::body_full(Bytes::from(archive));
        let mut said = std::pin::pin!(client.create_image(Some(options), Some(body), None));
        while let Some(step) = said.next().await {
            step.map_err(|error| self.engine.explain(error))?;
        }
        let found = self.find_image(REFERENCE).await?;
        found.ok_or_else(|| HostError::Other(format!("{REFERENCE} was imported and is not there")))
    }
}

/// A static program that waits for ever; none for processors it was not written for.
fn program() -> Option<Vec<u8>> {
    const X86_64: (u16, &[u8]) = (
        0x3e,
        &[
            0xb8, 34, 0, 0, 0, // mov eax, SYS_pause
            0x0f, 0x05, // syscall
            0xeb, 0xf7, // jmp to the start
        ],
    );
    const AARCH64: (u16, &[u8]) = (
        0xb7,
        &[
            0x28, 0x09, 0x80, 0xd2, // mov x8, SYS_ppoll
            0x00, 0x00, 0x80, 0xd2, // mov x0, 0
            0x01, 0x00, 0x80, 0xd2, // mov x1, 0
            0x02, 0x00, 0x80, 0xd2, // mov x2, 0
            0x03, 0x00, 0x80, 0xd2, // mov x3, 0
            0x04, 0x00, 0x80, 0xd2, // mov x4, 0
            0x01, 0x00, 0x00, 0xd4, // svc 0
            0xf9, 0xff, 0xff, 0x17, // b to the start
        ],
    );
    match std::env::consts::ARCH {
        "x86_64" => Some(elf(X86_64.0, X86_64.1)),
        "aarch64" => Some(elf(AARCH64.0, AARCH64.1)),
        _ => None,
    }
}

/// A 64-bit little-endian ELF file with one segment, which is the file.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    const BASE: u64 = 0x40_0000;
    let size = HEADERS + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    // An executable, this machine, version, entry, program headers, no sections.
    half(&mut file, 2);
    half(&mut file, machine);
    word(&mut file, 1);
    [BASE + HEADERS, 64, 0].into_iter().for_each(|value| long(&mut file, value));
    word(&mut file, 0);
    [64, 56, 1, 0, 0, 0].into_iter().for_each(|value| half(&mut file, value));
    // To be loaded, readable and executable, whole.
    word(&mut file, 1);
    word(&mut file, 5);
    [0, BASE, BASE, size, size, 0x1_0000].into_iter().for_each(|value| long(&mut file, value));
    file.extend(code);
    file
}

/// A tar archive of one executable file.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0u8; BLOCK];
    let mut put = |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That the engine takes the archive and the processor the program, the tests with an engine show.
    #[test]
    fn the_archive_holds_the_program() {
        let program = program().unwrap();
        assert!(program.starts_with(b"\x7fELF"));
        let archive = archive("pause", &program);
        assert_eq!(archive.len(), 4 * 512);
        assert_eq!((&archive[..6], &archive[512..512 + program.len()]), (&b"pause\0"[..], &program[..]));
        let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(archive[at]) }).sum();
        assert_eq!(std::str::from_utf8(&archive[148..154]).unwrap(), format!("{sum:06o}"));
        assert_eq!(std::str::from_utf8(&archive[124..135]).unwrap(), format!("{:011o}", program.len()));
    }
}
