//! What a link says and no room understands: it is left out, and told, so that nobody wonders about a view that the link
//! did not mean.

use lab_protocol::PatchMask;

use super::{ALL, Room};
use crate::hash::{self, Address, NOTHING};
use crate::texts::SAMPLES;
use crate::texts::learn::TOURS;

/// Letters of a part that are repeated.
const LONGEST: usize = 50;

/// The parts of a link that mean nothing, as they stand there. What only a model can tell, as a layer that is not there,
/// is told when the model is here; samples and settings are told by those who know them.
pub(crate) fn nonsense(address: &Address) -> Vec<String> {
    let steps =
        TOURS.iter().find(|tour| Some(tour.id) == address.get("tour")).map_or(usize::MAX, |tour| tour.steps.len());
    let senseless = address.iter().filter(|(key, value)| *value != NOTHING && !means(key, value, steps));
    let senseless = senseless.map(|(key, value)| format!("{key}={value}"));
    senseless.chain(address.lost().iter().cloned()).map(|part| part.chars().take(LONGEST).collect()).collect()
}

/// Whether a key's value is one that its room reads; keys that are nobody's are left to newer pages.
fn means(key: &str, value: &str, steps: usize) -> bool {
    let within = |least: u32, most: u32| value.parse::<u32>().is_ok_and(|number| (least..=most).contains(&number));
    let real = |holds: fn(f64) -> bool| value.parse::<f64>().is_ok_and(holds);
    match key {
        "weights" => value.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "mae" => hash::is_name(value),
        "from" => is_sample(value),
        "room" => ALL.into_iter().map(Room::key).any(|room| room == value),
        "engine" => value == "auto" || hash::engine(value).is_some(),
        "palette" => value == hash::SAFE,
        "patch" | "seed" | "layer" | "head" | "from-patch" | "at" | "follow" | "colours" | "stage" => {
            within(0, u32::MAX)
        }
        "query" => ["cls", "patch"].contains(&value),
        "map" => ["one", "heads", "rollout"].contains(&value),
        "basis" => ["own", "shared"].contains(&value),
        "foreground" => real(|share| (-1.0..=1.0).contains(&share)),
        "kind" => ["random", "block", "grid"].contains(&value),
        "ratio" => within(0, 100),
        "mask" => PatchMask::from_digits(value).is_some(),
        "paint" => value == "everywhere",
        "features" => ["cls", "mean", "both"].contains(&value),
        "k" => within(1, 1000),
        "c" => real(|c| c.is_finite() && c > 0.0),
        "scale" => ["raw", "standard"].contains(&value),
        "by" => ["knn", "linear"].contains(&value),
        "method" => ["dino", "mae"].contains(&value),
        "data" => ["own", "drawn"].contains(&value),
        "pace" => ["slow", "calm", "full"].contains(&value),
        "play" | "centre" => ["yes", "no"].contains(&value),
        "tour" => TOURS.iter().any(|tour| tour.id == value),
        "step" => value.parse::<usize>().is_ok_and(|step| (1..=steps).contains(&step)),
        "tau" => within(1, 100),
        "classes" => value == "none",
        _ if key.starts_with("class") => {
            let (_, samples) = value.rsplit_once(':').unwrap_or_default();
            samples.split(',').all(|name| name.is_empty() || is_sample(name))
        }
        _ => true,
    }
}

fn is_sample(name: &str) -> bool {
    SAMPLES.iter().any(|sample| sample.name == name)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_means_nothing_is_named_and_what_rooms_write_is_not() {
        let found = |hash: &str| nonsense(&Address::parse(hash));
        assert_eq!(found("#room=mask&mask=garbage&ratio=900&seed=3"), ["mask=garbage", "ratio=900"]);
        assert_eq!(found("#tour=none&step=99"), ["tour=none"]);
        assert_eq!(found("#room=learn&tour=mae&step=99"), ["step=99"]);
        assert_eq!(
            found("#room=nothing&layer=-1&engine=tpu&foreground=2"),
            ["room=nothing", "layer=-1", "engine=tpu", "foreground=2"]
        );
        assert_eq!(
            found("#layer=1&layer=2&patch=%zz&weights=x-y&mae=a/b&from=nobody&class1=a:reef,nobody&class2=b"),
            ["weights=x-y", "mae=a/b", "from=nobody", "class1=a:reef,nobody", "layer=2", "patch=%zz"]
        );
        let sound = [
            "#sample=reef&patch=40&layer=2&query=patch&map=heads&basis=shared&foreground=-0.4&compare=twin&seed=5",
            "#room=learn&tour=mae&step=2&ratio=-&mask=00ff&tau=33&centre=no",
            "#room=video&sample=lemons&play=no&palette=safe&at=1&follow=7",
            "#room=train&method=dino&engine=cpu&set=model.depth%3D2&pace=calm&stage=2",
            "#room=probe&features=both&k=5&c=0.1&scale=raw&by=knn&newer=x&class1=a%3A:reef,apples&class2=b:",
            "#model=tiny-dino&weights=0123456789abcdef&from=reef&from-patch=7&classes=none",
        ];
        for hash in sound {
            assert!(found(hash).is_empty(), "{hash}: {:?}", found(hash));
        }
        for step in TOURS.iter().flat_map(|tour| tour.steps) {
            assert!(found(step.state).is_empty(), "{}", step.state);
        }
    }
}
