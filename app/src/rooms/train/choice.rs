//! What a link or the room's choices ask for, held against the run that stands: a link to MAE shall not show a DINO run
//! in silence, and no run is lost because somebody followed a link.

use std::collections::BTreeMap;

use lab_protocol::train::{Data, Switches};
use leptos::prelude::*;

use super::{Method, State, run};
use crate::signals::put;
use crate::state::Store;
use crate::texts::train as texts;

/// Steps of a run that has hardly begun: it gives way at once, any other waits for a word.
const YOUNG: u64 = 10;

/// In what the choices differ from the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// DINO or MAE.
    pub(crate) method: bool,
    /// Drawn shapes or the user's images.
    pub(crate) data: bool,
    /// The settings over the preset.
    pub(crate) settings: bool,
    /// The switches of the collapse sandbox.
    pub(crate) switches: bool,
}

impl State {
    /// In what the choices differ from the run that stands; `None` where they are the run's, or there is none.
    pub(super) fn difference(self) -> Option<Difference> {
        let asked = self.settings.get();
        let found = self.status.with(|status| {
            let status = status.as_ref()?;
            let method = self.method.get() != Method::of(status);
            let switched = status.switches != Switches::default();
            Some(Difference {
                method,
                data: self.own.get() != matches!(status.data, Data::Own { .. }),
                // Another method has another preset: its keys need no comparison.
                settings: !method && !self.made.with(|made| same_settings(made, &asked, &status.config, switched)),
                switches: !method && Method::of(status) == Method::Dino && self.wanted.get() != status.switches,
            })
        })?;
        (found != Difference::default()).then_some(found)
    }

    /// Whether what stands here gives way at once to what the choices ask for: a run that has hardly begun, or none that
    /// could begin.
    pub(super) fn gives_way(self) -> bool {
        match self.status.with_untracked(|status| status.as_ref().map(|status| status.step)) {
            Some(step) => step <= YOUNG && untrack(|| self.difference().is_some()),
            None => self.refused.with_untracked(Option::is_some),
        }
    }

    /// The run that stands is what is wanted: the choices become its own.
    pub(super) fn adopt(self) {
        self.status.with_untracked(|status| {
            let Some(status) = status else { return };
            put(self.method, Method::of(status));
            put(self.own, matches!(status.data, Data::Own { .. }));
            put(self.wanted, status.switches);
        });
        put(self.settings, self.made.get_untracked());
        put(self.named, true);
        put(self.refused, None);
    }

    /// A run that the page did not begin itself: of the settings in the choices it has those, or none that is known.
    pub(super) fn guess_made(self) {
        let asked = self.settings.get_untracked();
        let holds = self.status.with_untracked(|status| {
            status
                .as_ref()
                .is_some_and(|status| same_settings("", &asked, &status.config, status.switches != Switches::default()))
        });
        put(self.made, if holds { asked } else { String::new() });
    }

    /// The user has chosen. What is asked of a run that stands is no link's any more; a run that could not begin stays it.
    pub(super) fn chosen(self) {
        put(self.named, true);
        if self.status.with_untracked(Option::is_some) {
            put(self.linked, false);
        }
    }
}

/// Where the choices ask for another run: what is asked, what stands here, and a choice.
#[component]
pub(super) fn Other(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let difference = Memo::new(move |_| state.difference());
    let sentence = move || {
        let asked = texts::asked(state.method.get(), state.own.get(), difference.get()?, state.linked.get());
        state.status.with(|status| status.as_ref().map(|status| texts::other(&asked, status)))
    };
    let why = move || state.refused.get().map(|why| texts::no_run(&why));
    view! {
        <Show when=move || difference.get().is_some()>
            <div class="other" role="status" data-testid="other">
                <p>{sentence} " " {why}</p>
                <div class="buttons">
                    <button
                        class="strong"
                        data-testid="begin-other"
                        disabled=move || state.busy.get()
                        on:click=move |_| run::reset(store)
                    >
                        {move || if state.linked.get() { texts::BEGIN_LINKED } else { texts::BEGIN_CHOSEN }}
                    </button>
                    <button data-testid="go-on" on:click=move |_| state.adopt()>{texts::GO_ON}</button>
                </div>
            </div>
        </Show>
    }
}

/// Whether a run made of some settings, now with this configuration (TOML), is the one that is asked for. While a switch
/// is off, `teacher.*` says nothing about how the run was begun.
fn same_settings(made: &str, asked: &str, config: &str, switched: bool) -> bool {
    let (made, asked) = (settings(made), settings(asked));
    let stands = |(key, value): (&&str, &&str)| match made.get(key) {
        Some(own) => same_value(own, value),
        None if switched && key.starts_with("teacher.") => true,
        None => look_up(config, key).is_some_and(|found| same_value(found, value)),
    };
    asked.iter().all(stands) && made.keys().all(|key| asked.contains_key(key))
}

/// `section.key=value` lines; the last one of a key holds.
fn settings(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

/// The value of a dotted key in TOML as the engine writes it: a key a line, under its section.
fn look_up<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    let (wanted, key) = key.rsplit_once('.').unwrap_or(("", key));
    let mut section = "";
    config.lines().find_map(|line| {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (name, value) = line.split_once(" = ")?;
        (section == wanted && name == key).then_some(value)
    })
}

/// Whether two spellings are one value: `2e-3` and `0.002`, `mae` and `"mae"`, `[0, 1]` and `[0.0, 1.0]`.
fn same_value(one: &str, other: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let plain = text.trim().trim_start_matches('[').trim_end_matches(']');
        plain.split(',').map(|part| part.trim().trim_matches(['"', '\'']).to_owned()).collect()
    };
    let number = |text: &str| text.replace('_', "").parse::<f64>().ok();
    let same = |(a, b): (&String, &String)| a == b || number(a).is_some_and(|a| number(b) == Some(a));
    let (one, other) = (parts(one), parts(other));
    one.len() == other.len() && one.iter().zip(&other).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "method = \"dinov2\"\n\n[model]\ndepth = 3\n\n[crops]\nglobal_scale = [0.4, 1.0]\n\n[optim]\n\
                          base_lr = 0.002\n\n[teacher]\ncentering = \"none\"\n";

    #[test]
    fn values_are_found_in_their_section() {
        assert_eq!(look_up(CONFIG, "model.depth"), Some("3"));
        assert_eq!(look_up(CONFIG, "method"), Some("\"dinov2\""));
        assert_eq!((look_up(CONFIG, "depth"), look_up(CONFIG, "optim.depth")), (None, None));
    }

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for (one, other) in [("2e-3", "0.002"), ("mae", "\"mae\""), ("[0,1]", "[0.0, 1.0]"), ("1_000", "1000")] {
            assert!(same_value(one, other), "{one} {other}");
        }
        for (one, other) in [("2e-3", "0.003"), ("", "0"), ("[0, 1]", "[0, 1, 2]"), ("true", "false")] {
            assert!(!same_value(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_run_is_known_by_its_settings() {
        let same = |made, asked| same_settings(made, asked, CONFIG, false);
        assert!(same("", ""));
        assert!(same("", "optim.base_lr=2e-3\n model.depth = 3"), "a run that was found again");
        assert!(!same("", "model.depth=4"));
        assert!(!same("", "model.dept=3"), "a key that no run has");
        assert!(same("model.depth=2\nmodel.depth=3", "model.depth=3"), "the last one holds");
        assert!(!same("model.depth=3", ""), "a link without a setting of the run's");
        assert!(!same("", "teacher.centering=centering"));
        assert!(same_settings("", "teacher.centering=centering", CONFIG, true), "a switch has changed it");
    }
}
