//! What to type to start a disk that boots: the commands, filled from a container's configuration.

use std::process::Command;

use ploopconv::guest::{Config, Hint, MachineDisk, Network, next_of_machine};

const CONFIG: &str = "ONBOOT=\"yes\"\nPHYSPAGES=\"0:262145\"\nCPUS=\"2\"\nCPULIMIT=\"150\"\n\
    IP_ADDRESS=\"192.0.2.10 2001:db8::10\"\nHOSTNAME=\"www.example.org\"\n\
    NETIF=\"ifname=eth0,mac=00:18:51:AA:BB:CC\"\n";

fn disk(path: &str) -> MachineDisk<'_> {
    MachineDisk {
        path,
        format: "qcow2",
        id: "101",
        least_memory: 512 << 20,
    }
}

fn hints(disk: &MachineDisk<'_>, config: &str, network: Network) -> Vec<Hint> {
    let config = Config::parse(config.as_bytes()).unwrap();
    next_of_machine(disk, &config, &network)
}

/// The words that the shell hands to a program.
fn words(program: &str, command: &str) -> Vec<String> {
    let script = format!("{program}() {{ printf '%s\\n' \"$@\"; }}\n{command}");
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{command}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn commands_are_filled_from_the_configuration() {
    let hints = hints(&disk("101.qcow2"), CONFIG, Network::Dhcp);
    let commands: Vec<_> = hints.iter().flat_map(|hint| &hint.commands).collect();
    assert_eq!(
        commands,
        [
            "qm create 101 --name www --memory 1025 --cores 2 --cpulimit 1.5 --ostype l26 \
             --net0 virtio=00:18:51:AA:BB:CC,bridge=vmbr0 --serial0 socket --onboot 1",
            "qm importdisk 101 101.qcow2 local-lvm",
            "qm set 101 --virtio0 local-lvm:vm-101-disk-0 --boot order=virtio0",
            "qm start 101",
            "virt-install --import --name www --memory 1025 --vcpus 2 --osinfo \
             detect=on,require=off --disk path=101.qcow2,format=qcow2,bus=virtio --network \
             network=default,model=virtio,mac=00:18:51:AA:BB:CC --graphics none --noautoconsole \
             --autostart",
            "virsh console www",
            "qemu-system-x86_64 -M q35 -accel kvm -cpu host -m 1025 -smp 2 -nographic -drive \
             file=101.qcow2,format=qcow2,if=virtio -nic \
             user,model=virtio-net-pci,mac=00:18:51:AA:BB:CC",
        ]
    );
    let notes = hints[0].notes.join("; ");
    assert!(
        notes.contains("had 192.0.2.10/32 2001:db8::10/128;"),
        "{notes}"
    );
}

/// A UUID is no number of Proxmox; a container without a limit, or with less than the first boot
/// takes, becomes a machine that boots.
#[test]
fn what_the_configuration_does_not_say_is_made_up_and_said() {
    let mut disk = disk("/srv/a b/disk.raw");
    (disk.id, disk.format) = ("5d2b8a9e-0000-4000-8000-000000000001", "raw");
    let hint = &hints(&disk, "", Network::None)[0];
    assert_eq!(
        hint.commands,
        [
            "id=$(pvesh get /cluster/nextid)",
            "qm create $id --name ct5d2b8a9e-0000-4000-8000-000000000001 --memory 1024 --cores 1 \
             --ostype l26 --net0 virtio,bridge=vmbr0 --serial0 socket",
            "qm importdisk $id '/srv/a b/disk.raw' local-lvm",
            "qm set $id --virtio0 local-lvm:vm-$id-disk-0 --boot order=virtio0",
            "qm start $id",
        ]
    );
    let small = &hints(&disk, "PHYSPAGES=\"0:32768\"\n", Network::None)[0];
    assert!(small.commands[1].contains("--memory 512 "), "{small:?}");
    let said = "the container had 128 MiB of memory; the first boot takes 512 MiB";
    assert!(small.notes.iter().any(|note| note == said), "{small:?}");
}

/// A comma ends a value of QEMU and virt-install, a colon makes a protocol, and a shell has its own
/// characters: the programs get the path that was meant.
#[test]
fn any_path_is_one_value() {
    for (path, value) in [
        ("a,b.qcow2", "a,,b.qcow2"),
        ("nbd:x,y/1.qcow2", "./nbd:x,,y/1.qcow2"),
        ("-a 'b' $(c).qcow2", "-a 'b' $(c).qcow2"),
        ("/x:y/1.qcow2", "/x:y/1.qcow2"),
    ] {
        let hints = hints(&disk(path), CONFIG, Network::Dhcp);
        let qemu = words("qemu_system_x86_64", &{
            let command = &hints[2].commands[0];
            command.replacen("qemu-system-x86_64", "qemu_system_x86_64", 1)
        });
        let drive = format!("file={value},format=qcow2,if=virtio");
        assert!(qemu.contains(&drive), "{qemu:?}");
        let command = hints[1].commands[0].replacen("virt-install", "virt_install", 1);
        let libvirt = words("virt_install", &command);
        let disk = format!("path={value},format=qcow2,bus=virtio");
        assert!(libvirt.contains(&disk), "{libvirt:?}");
        let import = words("qm", &hints[0].commands[1]);
        assert!(import[2].ends_with(path), "{import:?}");
        assert!(!import[2].starts_with('-'), "{import:?}");
    }
}
