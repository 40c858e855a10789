//! A machine in QEMU, by emulation alone: its guest is one sector that speaks on the serial port until somebody
//! presses the power button.

use std::fs;

use crate::harness::{Station, eventually, processes_with};

/// 16-bit code, loaded at 0x7c00. SeaBIOS puts the power management of QEMU's `pc` at 0x600: bit 8 of the word there
/// is the power button, once it is enabled at 0x602, and 0x2000 to 0x604 switches the machine off.
#[rustfmt::skip]
const GUEST: [u8; 61] = [
    0x31, 0xc0, 0x8e, 0xd8, // xor ax, ax; mov ds, ax
    0xba, 0x02, 0x06,       // mov dx, 0x602
    0xb8, 0x00, 0x01,       // mov ax, 0x100
    0xef,                   // out dx, ax
    0xbe, 0x32, 0x7c,       // mov si, up
    0xe8, 0x17, 0x00,       // call say
    0xba, 0x00, 0x06,       // wait: mov dx, 0x600
    0xed,                   // in ax, dx
    0xf6, 0xc4, 0x01,       // test ah, 1
    0x74, 0xf7,             // jz wait
    0xbe, 0x37, 0x7c,       // mov si, off
    0xe8, 0x08, 0x00,       // call say
    0xba, 0x04, 0x06,       // mov dx, 0x604
    0xb8, 0x00, 0x20,       // mov ax, 0x2000
    0xef,                   // out dx, ax
    0xf4,                   // hlt
    0xba, 0xf8, 0x03,       // say: mov dx, 0x3f8, the serial port
    0xac,                   // next: lodsb
    0xee,                   // out dx, al
    0x84, 0xc0,             // test al, al
    0x75, 0xfa,             // jnz next
    0xc3,                   // ret
    b'u', b'p', b'\r', b'\n', 0,       // up
    b'o', b'f', b'f', b'\r', b'\n', 0, // off
];

const JOB: &str = r#"
job "machine" {
  group "g" {
    network {
      port "ssh" {}
    }
    task "t" {
      driver = "qemu"
      config {
        image_path        = "local/disk.img"
        graceful_shutdown = true
        port_map {
          ssh = 22
        }
      }
      resources {
        memory = 128
      }
      kill_timeout = "60s"
    }
    task "disk" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "cp SOURCE/disk.img $NOMAD_ALLOC_DIR/../t/local/"]
      }
      lifecycle {
        hook = "prestart"
      }
    }
  }
}
"#;

/// A disk of 32 KiB that boots.
fn disk() -> Vec<u8> {
    let mut disk = vec![0; 64 * 512];
    disk[..GUEST.len()].copy_from_slice(&GUEST);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

#[test]
fn a_machine_boots_listens_and_is_switched_off() {
    let station = Station::start();
    fs::write(station.path("disk.img"), disk()).unwrap();
    let dir = station.path("").display().to_string();
    let alloc = station.run_job("machine", &JOB.replace("SOURCE", dir.trim_end_matches('/')));
    let console = || station.cli(&["alloc", "logs", &alloc[..8], "t"]).ok();
    eventually("the guest speaks", || console().contains("up\r\n").then_some(()));
    let number = station.address(&alloc, "ssh").rsplit(':').next().unwrap().parse::<u16>().unwrap();
    // In the kernel's table of listeners: 0A is LISTEN.
    let listens = format!(":{number:04X} 00000000:0000 0A");
    assert!(fs::read_to_string("/proc/net/tcp").unwrap().contains(&listens), "nobody listens on {number}");
    station.cli(&["job", "stop", "machine"]).ok();
    assert!(console().ends_with("off\r\n\0"), "{:?}", console());
    let state = station.get(&format!("/v1/allocation/{alloc}"))["TaskStates"]["t"].clone();
    assert!(state["Events"].to_string().contains("Exit Code: 0"), "{state}");
    assert_eq!(processes_with(&alloc), Vec::<u32>::new());
}

#[test]
fn images_of_the_host_need_the_operator() {
    let station = Station::start();
    let text = JOB.replace("local/disk.img", "/etc/passwd").replace("SOURCE/disk.img", "/etc/hostname");
    station.cli(&["job", "run", "--detach", &station.job("machine", &text)]).ok();
    let alloc = station.allocation("machine");
    let state = station.until_task(&alloc, "t", "it failed", |state| state["Failed"] == true);
    assert!(state["Events"].to_string().contains("add its directory to `image_paths`"), "{state}");
}
