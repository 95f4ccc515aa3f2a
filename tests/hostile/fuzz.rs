//! The properties of the fuzz targets, held against their corpus, against damaged inputs of it and against random bytes:
//! what a fuzzer has found once stays found, and the targets always compile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};

use crate::packets::{mutated, seeded};

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

/// Damaged and random inputs of each target.
const DAMAGED: usize = 300;
const RANDOM: usize = 100;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("corpus").join(target)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_input_of_the_corpus_holds_what_its_target_promises() {
    for (target, _) in properties::ALL {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for (path, bytes) in inputs {
            eprintln!("{}", path.display());
            properties::check(target, &bytes);
        }
    }
}

#[test]
fn damaged_and_random_input_holds_it_too() {
    let mut rng = seeded();
    for (target, property) in properties::ALL {
        let inputs = corpus(target);
        for n in 0..DAMAGED + RANDOM {
            let bytes = if n < DAMAGED {
                mutated(&inputs[n % inputs.len()].1, &mut rng)
            } else {
                let mut bytes = vec![0; rng.random_range(0..200)];
                rng.fill_bytes(&mut bytes);
                bytes
            };
            // A panic is reported after this line.
            let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{target} {shown}");
            property(&bytes);
        }
    }
}

#[test]
fn each_property_is_a_target_with_a_corpus_and_a_line_in_the_document() {
    let properties: BTreeSet<String> = properties::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder().join("fuzz_targets")), properties);
    assert_eq!(names(&folder().join("corpus")), properties);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let document = fs::read_to_string(folder().join("../docs/fuzzing.md")).unwrap();
    for name in properties {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no binary");
        assert!(document.contains(&format!("| `{name}` |")), "{name} is in no document");
        // What one target runs is one property, by its own name.
        let target = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("properties::check(\"{name}\", bytes)")), "{name}");
    }
}
