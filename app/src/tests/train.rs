//! The room Train without an engine: what it says of a run that is told to it.

use lab_protocol::train::{Data, DinoStages, Figure, Look, Stages, Status, StepReport, Switches, Verdict};
use leptos::prelude::*;
use leptos::task::tick;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{attribute, mounted, owned, press, store};
use crate::panels::ModelPanel;
use crate::rooms::Navigation;
use crate::rooms::Room;
use crate::rooms::train::{Inside, Train};
use crate::state::Store;
use crate::texts;

/// A DINO run of step 80 on six images of the user's.
fn status() -> Status {
    Status {
        method: "dinov2".to_owned(),
        step: 80,
        total_steps: 2000,
        warmup: 10,
        parameters: 170_000,
        images: 6,
        data: Data::Own { images: Vec::new() },
        batch_size: 16,
        img_size: 24,
        patch_size: 4,
        prototypes: 3,
        student_temp: 0.1,
        switches: Switches { centring: false, ..Switches::default() },
        kept: None,
        bad_steps: 0,
        config: "[dino]\nkoleo_loss_weight = 0.1\n".to_owned(),
        settings: Vec::new(),
    }
}

/// A look that finds the teacher's answer collapsed, and features of this RankMe.
fn collapsed(rank: f64) -> Look {
    let figure = |name: &str, value| Figure { name: name.to_owned(), value };
    Look {
        step: 80,
        figures: vec![figure("rankme", rank), figure("feature_std", 0.8)],
        verdict: Verdict::Collapsing,
        says: String::new(),
        rows: Vec::new(),
        prototypes: vec![1.0, 0.0, 0.0],
    }
}

/// What the first step computed, in slow motion.
fn first() -> Inside {
    let report = StepReport {
        step: 0,
        loss: 1.0,
        losses: Vec::new(),
        norms: Vec::new(),
        teacher: Vec::new(),
        lr: 0.001,
        momentum: 0.996,
        teacher_temp: 0.04,
        millis: 1.0,
    };
    let rows = |value: f32| vec![vec![value, -0.5, 0.25]; 2];
    let stages = DinoStages {
        crops: Vec::new(),
        teacher_logits: rows(1.0),
        student_logits: rows(2.0),
        center: vec![0.0; 3],
        teacher_probs: rows(0.5),
        student_probs: rows(0.5),
        pairs: Vec::new(),
        center_moved: 0.0,
        clipping: Vec::new(),
        student_moved: 0.01,
        teacher_moved: 0.001,
        apart: 0.1,
    };
    Inside { stages: Stages::Dino(stages), pictures: Vec::new(), report, student_temp: 0.1 }
}

fn room(store: Store) -> super::Mounted<impl leptos::tachys::view::Mountable> {
    store.rooms.train.status.set(Some(status()));
    mounted(move || view! { <Train store /> })
}

#[test]
async fn few_images_are_told_and_a_collapse_says_what_is_left() {
    let _owner = owned();
    let store = store("#room=train");
    let it = room(store);
    assert!(it.text().contains("16 images a step, each of the 6 more than once."), "{}", it.text());
    assert!(it.text().contains("6 images are far too few"), "{}", it.text());
    store.rooms.train.look.set(Some((collapsed(30.6), Vec::new())));
    tick().await;
    let alarm = |it: &super::Mounted<_>| it.one("[data-testid=alarm]").text_content().unwrap();
    assert!(alarm(&it).contains("still apart (RankMe 30.6): KoLeo alone keeps them so."), "{}", alarm(&it));
    store.rooms.train.look.set(Some((collapsed(1.2), Vec::new())));
    tick().await;
    assert!(alarm(&it).contains("nearly one as well (RankMe 1.2)"), "{}", alarm(&it));
}

#[test]
async fn inside_an_old_step_both_networks_answer_and_the_next_is_offered() {
    let _owner = owned();
    let store = store("#room=train&stage=2");
    let it = room(store);
    assert!(it.all("[data-testid=into-next]").is_empty(), "there is no step yet");
    store.rooms.train.inside.set(Some(first()));
    tick().await;
    let which = it.one("[data-testid=inside-which]").text_content().unwrap();
    assert!(which.contains("of step 1; the run stands at step 80, 79 steps later"), "{which}");
    it.one("[data-testid=into-next]");
    let rows = it.all(".slow .bar-row");
    let names: Vec<_> = rows.iter().map(|row| row.first_element_child().unwrap().text_content().unwrap()).collect();
    assert_eq!(names, ["teacher zₜ, global 1", "teacher zₜ, global 2", "student zₛ, global 1", "student zₛ, global 2"]);
    // One scale for all four, beside each.
    assert!(rows.iter().all(|row| row.text_content().unwrap().ends_with("2.00-2.00")), "{}", it.text());
}

#[test]
async fn the_key_s_makes_a_step_also_from_a_button() {
    let _owner = owned();
    let store = store("#room=train");
    let it = room(store);
    let asked = || store.notices.get_untracked().iter().any(|notice| notice.text == texts::NO_ENGINE);
    assert!(!press(&it.one("[data-testid=settings]"), "s") && !asked(), "a letter among settings");
    assert!(!press(&it.one("[data-testid=step]"), " ") && !asked(), "it presses the button itself");
    press(&it.one("[data-testid=step]"), "s");
    assert!(asked(), "a step is asked of the engine, which is not there");
}

#[test]
async fn a_run_that_goes_is_seen_from_other_rooms_and_the_model_beside_it_is_none_of_its() {
    let _owner = owned();
    let store = store("#room=train");
    let it = mounted(move || view! { <Navigation store /> <ModelPanel store /> });
    let title = |it: &super::Mounted<_>| it.one("#model-title").text_content().unwrap();
    assert_eq!(title(&it), texts::train::OTHER_MODEL);
    store.rooms.train.playing.set(true);
    tick().await;
    assert!(it.all("[data-testid=runs]").is_empty(), "it is seen in its own room");
    store.room.set(Room::See);
    tick().await;
    assert_eq!(attribute(&it.one("[data-testid=room-train] [data-testid=runs]"), "aria-label"), texts::train::RUNS);
    assert_eq!(title(&it), texts::MODEL);
    store.rooms.train.playing.set(false);
    tick().await;
    assert!(it.all("[data-testid=runs]").is_empty());
}
