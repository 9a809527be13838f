//! Tells Armv7-M and Armv8-M Mainline from the other Arm targets, which rustc's own `cfg` does not.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(thumb2)");
    let target = std::env::var("TARGET").unwrap_or_default();
    if ["thumbv7m-", "thumbv7em-", "thumbv8m.main-"].iter().any(|m| target.starts_with(m)) {
        println!("cargo::rustc-cfg=thumb2");
    }
}
