//! The dashboard: the run on a terminal's whole screen, drawn by a thread of its own five times a second.
//!
//! Keys ask the run to stop, choose the scale, show help. The terminal is given back when the dashboard goes, and
//! before a panic is told.

mod draw;

use std::io::{IsTerminal as _, Stdout, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab_core::train::event::Event;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::story::Story;
use super::{Stop, Watcher, now, plain};
use crate::{loader, text};

/// Time between two pictures.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether the screen is ours.
static ON_SCREEN: AtomicBool = AtomicBool::new(false);
/// Whether a picture is being drawn.
static DRAWING: AtomicBool = AtomicBool::new(false);

/// Whether there is a terminal that can show it.
pub(super) fn is_possible() -> bool {
    let able = std::env::var_os("TERM").map_or(cfg!(windows), |term| term != "dumb" && !term.is_empty());
    able && stdout().is_terminal() && std::io::stderr().is_terminal()
}

/// Takes the whole screen.
fn enter_screen() -> Result<Terminal<CrosstermBackend<Stdout>>> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A decoder that breaks down over a file costs that file, and is told as one that is bad.
            let decodes = std::thread::current().name().is_some_and(|name| name.starts_with(loader::DECODES));
            if decodes && ON_SCREEN.load(Ordering::SeqCst) {
                return;
            }
            leave_screen();
            before(panic);
        }));
    });
    enable_raw_mode().context("cannot take over the terminal")?;
    ON_SCREEN.store(true, Ordering::SeqCst);
    // Cleared here: ratatui's own way first asks where the cursor is, and not every terminal answers.
    execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All)).context("cannot take over the terminal")?;
    Terminal::new(CrosstermBackend::new(stdout())).context("cannot take over the terminal")
}

/// Gives the screen back, if it is ours. Any thread may, at any time.
pub(super) fn leave_screen() {
    if ON_SCREEN.swap(false, Ordering::SeqCst) {
        // A picture under way would end on the screen that comes back. It takes milliseconds; it never ends if it is
        // the drawing that panicked.
        let patience = Instant::now() + PAUSE;
        while DRAWING.load(Ordering::SeqCst) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Where this fails there is no terminal left.
        drop(disable_raw_mode());
        drop(execute!(stdout(), LeaveAlternateScreen, Show));
    }
}

/// What run and drawing thread share.
#[derive(Default)]
struct Shared {
    story: Story,
    options: draw::Options,
    /// The run is over.
    over: bool,
    /// Why the thread gave up.
    failed: Option<String>,
}

/// The dashboard under way.
pub(crate) struct Dashboard {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    stop: Stop,
}

impl Dashboard {
    /// Takes the screen for the run in `folder`. Keys ask `stop`.
    ///
    /// # Errors
    /// When the terminal does not let us.
    pub(crate) fn open(folder: &Path, stop: &Stop) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let terminal = enter_screen().inspect_err(|_| leave_screen())?;
        stop.set_shown(true);
        let name = folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
        let (for_thread, stop_for_thread) = (shared.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("dashboard".into())
            .spawn(move || show(terminal, &name, &for_thread, &stop_for_thread))
            .context("cannot start the dashboard's thread")
            .inspect_err(|_| leave_screen())?;
        Ok(Self { shared, thread: Some(thread), stop: stop.clone() })
    }
}

impl Watcher for Dashboard {
    fn name(&self) -> &'static str {
        "the dashboard"
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let mut shared = lock(&self.shared);
        shared.story.apply(event, now());
        match shared.failed.take() {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }

    fn finish(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        lock(&self.shared).over = true;
        drop(thread.join()); // if it panicked, that has been told
        leave_screen();
        self.stop.set_shown(false);
        // The screen is gone, and with it what it said.
        let story = &lock(&self.shared).story;
        story.warnings.iter().for_each(|(step, message)| text::note(&format!("warning at step {step}: {message}")));
        if let Some(line) = plain::end(story) {
            text::note(&line);
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What stands there after a panic is still true.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread: keys and pictures, until the run is over.
fn show(mut terminal: Terminal<CrosstermBackend<Stdout>>, name: &str, shared: &Mutex<Shared>, stop: &Stop) {
    loop {
        // Drawn from a copy: a terminal that keeps us waiting must not keep the run waiting.
        let (story, options, over) = {
            let shared = lock(shared);
            (shared.story.clone(), shared.options, shared.over)
        };
        DRAWING.store(true, Ordering::SeqCst);
        if over || !ON_SCREEN.load(Ordering::SeqCst) {
            DRAWING.store(false, Ordering::SeqCst);
            return;
        }
        let drawn = terminal.draw(|frame| draw::draw(frame, name, &story, options, stop.asked(), now())).map(|_| ());
        DRAWING.store(false, Ordering::SeqCst);
        if let Err(error) = drawn {
            lock(shared).failed = Some(format!("cannot draw on the terminal: {error}"));
            return;
        }
        // Without keys the picture still goes on.
        match event::poll(PAUSE) {
            Ok(true) => {
                if let Ok(event::Event::Key(key)) = event::read() {
                    press(key, &mut lock(shared).options, stop);
                }
            }
            Ok(false) => {}
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// What a key does.
fn press(key: KeyEvent, options: &mut draw::Options, stop: &Stop) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => stop.ask_aloud(),
        // Twice q is no wish to lose anything: only Ctrl-C goes further.
        KeyCode::Char('q') if stop.asked().is_none() => stop.ask_aloud(),
        KeyCode::Char('l') => options.log = !options.log,
        KeyCode::Char('?' | 'h') => options.help = !options.help,
        KeyCode::Esc => options.help = false,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, made_up};
    use super::*;

    /// `cargo nextest run --run-ignored all --no-capture a_dashboard_to_look_at`
    #[test]
    #[ignore = "for people: takes the terminal until q is pressed"]
    fn a_dashboard_to_look_at() {
        let stop = Stop::default();
        stop.on_signals().expect("the first to ask");
        let mut dashboard = Dashboard::open(Path::new("runs/to-look-at"), &stop).expect("a terminal");
        let wanted = stop.flag();
        for (number, event) in made_up::run(0, 3000, 3000).iter().enumerate() {
            dashboard.event(event).expect("drawn");
            if number == 700 {
                let message = "tensorboard is switched off, the run goes on: no space left".into();
                dashboard.event(&Event::Warning { message }).expect("drawn");
            }
            assert!(std::env::var_os("LAB_PANIC").is_none() || number < 300, "a panic, as asked");
            if wanted.load(Ordering::SeqCst) {
                let seconds = 0.01 * number as f64;
                dashboard.event(&Event::Finished { step: number as u64, stopped: true, seconds }).expect("drawn");
                std::thread::sleep(Duration::from_secs(1)); // as if it were being saved
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        dashboard.finish();
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let (mut options, stop) = (draw::Options::default(), Stop::default());
        let mut key = |code, modifiers| press(KeyEvent::new(code, modifiers), &mut options, &stop);
        key(KeyCode::Char('x'), KeyModifiers::NONE);
        key(KeyCode::Char('c'), KeyModifiers::NONE);
        assert_eq!(stop.asked(), None);
        stop.set_shown(true);
        key(KeyCode::Char('q'), KeyModifiers::NONE);
        key(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(stop.asked(), Some(Asked::Stopping));
        key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(stop.asked(), Some(Asked::Saving));
        key(KeyCode::Char('l'), KeyModifiers::NONE);
        key(KeyCode::Char('?'), KeyModifiers::SHIFT);
        assert_eq!(options, draw::Options { log: true, help: true });
    }
}
