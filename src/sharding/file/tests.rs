//! Rule files: the wrong ones are explained, the shipped ones load, the simple ones are short.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::config::Config;
use crate::sharding::file::{RulesLoading, Surroundings, load as load_all, mutate, read};
use crate::sharding::key::Date;
use crate::sharding::rules::ShardingRules;

const TODAY: Date = Date { year: 2026, month: 11, day: 26 };

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is part of the repository");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    files.sort();
    files
}

#[test]
fn every_wrong_rule_file_is_explained_as_its_golden_text_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    let cases = files("tests/golden/rules", "yaml");
    assert!(cases.len() >= 25, "{} cases", cases.len());
    for case in cases {
        let name = case.file_name().and_then(|name| name.to_str()).expect("a golden file has a plain name");
        let text = fs::read_to_string(&case).expect("a golden file can be read");
        // The folder is left out of what is said, but files beside the case are found.
        let said = match read(&text, &case, &Surroundings { today: TODAY, clusters: None }).rules {
            Ok(_) => panic!("{name} is meant to be wrong"),
            Err(error) => format!("{error}\n"),
        };
        let folder = format!("{}/", case.parent().unwrap_or(Path::new("")).display());
        let said = said.replace(&folder, "");
        let golden = case.with_extension("txt");
        if update {
            fs::write(&golden, &said).expect("a golden file can be written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            different.push(format!("{name}:\n{said}"));
        }
    }
    assert!(different.is_empty(), "differs from the golden text:\n{}", different.join("\n"));
}

fn load(path: &Path) -> ShardingRules {
    let text = fs::read_to_string(path).expect("a rule file can be read");
    ShardingRules::parse(&text, path, TODAY).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_shipped_example_loads_and_its_tests_pass() {
    let examples = files("sharding-rules", "yaml");
    assert!(examples.len() >= 6, "{} examples", examples.len());
    for example in examples {
        let rules = load(&example);
        let stem = example.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        assert_eq!(rules.name(), stem, "the file is called as its logical database");
    }
}

#[test]
fn hashing_one_table_over_four_shards_takes_less_than_15_lines() {
    let text = fs::read_to_string(root().join("sharding-rules/one_table.yaml")).expect("it is shipped");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let count = lines.count();
    assert!(count < 15, "{count} lines");
    let rules = load(&root().join("sharding-rules/one_table.yaml"));
    assert_eq!((rules.shards().len(), rules.slots().len()), (4, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A file that somebody is in the middle of editing is refused or taken, never a panic.
    #[test]
    fn random_edits_of_the_examples_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..30_usize, "[a-z0-9:{}\\[\\]&*!|'\"#, \n.-]{0,6}"), 1..5),
    ) {
        let examples = files("sharding-rules", "yaml");
        let path = which.get(&examples);
        let mut text: Vec<char> = fs::read_to_string(path).expect("an example can be read").chars().collect();
        for (place, removed, inserted) in edits {
            let start = place.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = ShardingRules::parse(&text, path, TODAY) {
            prop_assert!(!error.problems().is_empty());
        }
    }
}

#[test]
fn the_tests_of_the_examples_notice_most_mistakes() {
    for example in files("sharding-rules", "yaml") {
        let text = fs::read_to_string(&example).expect("an example can be read");
        let mutation = mutate(&text, &example, &Surroundings { today: TODAY, clusters: None }, &|_| false);
        let (killed, all) = (mutation.killed, mutation.killed + mutation.survived.len());
        assert!(killed * 10 >= all * 4, "{}: {killed} of {all}: {:?}", example.display(), mutation.survived);
    }
}

#[test]
fn the_whole_example_of_the_guide_loads() {
    let guide = fs::read_to_string(root().join("sharding-rules/README.md")).expect("it is shipped");
    let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole: Vec<&str> = blocks.filter(|block| block.starts_with("api:")).collect();
    assert!(!whole.is_empty());
    for block in whole {
        if let Err(error) = ShardingRules::parse(block, Path::new("README.md"), TODAY) {
            panic!("{error}");
        }
    }
}

/// A temporary folder, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dazzle-rules-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a file can be written");
    }

    fn load(&self) -> RulesLoading {
        let text = format!(
            "listeners: [{{address: '127.0.0.1:1'}}]\nclusters: {{s1: {{primary: 'h:1'}}, s2: {{primary: 'h:2'}}}}\n\
             users: {{u: {{password: x, cluster: s1}}}}\nsharding: {{rules: [{}]}}\n",
            self.0.display()
        );
        load_all(&Config::parse(&text, Path::new("dazzle.yaml")).expect("valid"), TODAY)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SHOP: &str = "
api: dazzle/v1
name: Shop
revision: 1
keys: {id: bigint}
placements: {p: {hash: id, slots: {s1: 0, s2: 1}}}
tables: {t: {placement: p}}
tests: [{table: t, slots: all}]
";

#[test]
fn a_folder_is_loaded_whole_or_every_mistake_in_it_is_told() {
    let folder = Folder::new("whole");
    folder.write("shop.yaml", SHOP);
    folder.write(".hidden.yaml", "nonsense");
    folder.write("notes.txt", "nonsense");
    let rules = folder.load().rules.unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(rules.named("shop").map(|rules| rules.name()), Some("Shop"));
    assert!(rules.named("SHOP").is_some() && rules.named("other").is_none());

    folder.write("other.yaml", &SHOP.replace("s2: 1", "s3: 1"));
    folder.write("again.yaml", SHOP);
    let errors = folder.load().rules.map(|_| ()).expect_err("two files are wrong");
    let lines: Vec<String> = errors.iter().flat_map(|error| error.lines().collect::<Vec<_>>()).collect();
    let expected = [
        ("other.yaml", "the configuration has no cluster `s3`; did you mean `s1`?"),
        ("shop.yaml", "another file has the rules of `Shop` already"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, (file, message)) in lines.iter().zip(expected) {
        assert!(line.contains(file) && line.ends_with(message), "{line}");
    }
}

#[test]
fn a_file_that_appears_in_the_folder_is_noticed() {
    let folder = Folder::new("appears");
    folder.write("shop.yaml", SHOP);
    let before = folder.load().files;
    assert_eq!(folder.load().files, before);
    folder.write("more.yaml", &SHOP.replace("Shop", "more"));
    assert_ne!(folder.load().files, before);
}
