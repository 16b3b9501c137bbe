//! What the rooms will ask first, computed once while nobody waits: pipelines are compiled at their first use, and code
//! is at its slowest then, so that a first click would stall.
//!
//! A view a step, on the loaded model's own sizes, so that a request waits for one step at most. Nothing that shows is
//! changed: colours that were not fitted are not, and the picture is the one looked at last.

use lab_protocol::{Foreground, ImageId, Query, Slot, View};

use super::{Engine, Picture};
use crate::error::Error;

/// How far it has come with this model.
#[derive(Debug, Default)]
pub(super) struct State {
    next: usize,
}

impl Engine {
    /// Computes the next of what will be asked first; `None` when there is nothing more to do, or no image yet to do it
    /// on. Whatever fails is not tried again: it will be told to whoever asks for it.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view).
    pub async fn warm(&mut self) -> Result<Option<Picture>, Error> {
        let (Some(model), Some((image, [rows, columns]))) = (&self.model, self.images.latest()) else {
            return Ok(None);
        };
        let layer = model.config().depth.saturating_sub(1) as u32;
        let Some(view) = views(image, layer, (rows * columns / 2) as u32).into_iter().nth(self.warm.next) else {
            return Ok(None);
        };
        self.warm.next += 1;
        // A basis is fitted by what is shown first; this is not shown.
        let colours = self.see.colours.take();
        let picture = self.rehearse(image, &view).await;
        self.see.colours = colours;
        picture.map(Some)
    }

    /// A view; for colours that images share, after a fit on those at hand.
    async fn rehearse(&mut self, image: ImageId, view: &View) -> Result<Picture, Error> {
        if matches!(view, View::SharedPca { .. }) {
            let images = self.images.at_hand().to_vec();
            self.fit(Slot::Main, &images).await?;
        }
        self.view(image, view).await
    }

    /// Whether all of it has been computed.
    pub fn is_warm(&self) -> bool {
        self.images.latest().is_some_and(|(image, _)| self.warm.next >= views(image, 0, 0).len())
    }
}

/// Every kind of view once, what is asked most first.
fn views(image: ImageId, layer: u32, patch: u32) -> Vec<View> {
    let query = Query::Patch { index: patch };
    vec![
        View::Attention { layer, head: None, query },
        View::Similarity { from: image, patch },
        View::Pca,
        View::Heads { layer, query, columns: 2 },
        View::Attention { layer, head: Some(0), query },
        View::Rollout { layer, query },
        View::SharedPca { foreground: None },
        View::SharedPca { foreground: Some(Foreground { threshold: 0.5, below: false }) },
        View::Input,
    ]
}
