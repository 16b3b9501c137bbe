//! A worker in an engine's place: it paints a square of one colour, and repeats every command that it was given.

use std::cell::RefCell;
use std::rc::Rc;

use lab_protocol::{Command, Event, ImageId, Request};

use crate::link::{Aside, Link, worker_of};
use crate::signals::pause;

/// What is painted, as red, green and blue.
pub(super) const COLOUR: [f64; 3] = [200.0, 100.0, 50.0];

/// The image that cannot be painted, and what is said then.
pub(super) const BROKEN: (ImageId, &str) = (ImageId(13), "this picture cannot be painted");

/// Its script: `{ text, attachments }` in and out, as the real one.
const SCRIPT: &str = r#"
const canvases = new Map();
onmessage = ({ data }) => {
  const { id, command } = JSON.parse(data.text);
  const say = (event) => postMessage({ text: JSON.stringify({ reply_to: id, event }), attachments: [] });
  say({ event: "warning", message: data.text });
  if (command.do === "attach_canvas") canvases.set(command.canvas, data.attachments[0]);
  if (command.do !== "show") return say({ event: "done" });
  if (command.image === BROKEN) return say({ event: "failed", message: REASON });
  const canvas = canvases.get(command.canvas);
  [canvas.width, canvas.height] = command.size;
  const brush = canvas.getContext("2d");
  brush.fillStyle = "rgb(COLOUR)";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  const head = { max: 0.5, peak: 1, on_patches: 0.25, entropy: 2 };
  const summary = { grid: [2, 2], min: 0, max: 0.75, peak: 3, explained: null, on_patches: null, heads: [head, head, head], fitted: null, foreground: null };
  say({ event: "shown", canvas: command.canvas, millis: 1, summary });
};
"#;

/// One such worker, and what it was asked.
pub(super) struct StandIn {
    pub(super) link: Link,
    asked: Rc<RefCell<Vec<Command>>>,
}

impl StandIn {
    pub(super) fn open() -> Self {
        let script = SCRIPT
            .replace("BROKEN", &BROKEN.0.0.to_string())
            .replace("REASON", &format!("{:?}", BROKEN.1))
            .replace("COLOUR", &COLOUR.map(|part| part.to_string()).join(","));
        let (worker, url) = worker_of(&script, "stand-in").unwrap();
        let asked = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&asked);
        let link = Link::to(worker, url, move |aside| match aside {
            Aside::Event(event) => {
                let Event::Warning { message } = *event else { panic!("it says something else: {event:?}") };
                heard.borrow_mut().push(serde_json::from_str::<Request>(&message).unwrap().command);
            }
            Aside::Lost(sentence) | Aside::Stopped(sentence) => panic!("{sentence}"),
        });
        Self { link, asked }
    }

    /// Waits for so many commands and lets them be answered; what was asked since the last time, which may be more.
    pub(super) async fn hears(&self, least: usize) -> Vec<Command> {
        until(|| self.asked.borrow().len() >= least).await;
        // Effects, layout and messages have their turn.
        for _ in 0..2 {
            pause(20).await;
            self.link.ask(Command::Memory, &[]).await.unwrap();
        }
        pause(20).await;
        let mut asked = self.asked.take();
        asked.retain(|command| *command != Command::Memory);
        asked
    }
}

/// Waits until something is so: a busy machine lays out late.
pub(super) async fn until(so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        pause(10).await;
    }
    panic!("it did not come within ten seconds");
}
