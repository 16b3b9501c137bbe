//! Formulas in MathML, with the numbers that are on the screen.

use leptos::prelude::*;

use crate::state::{Shown, Store};
use crate::texts::{learn as texts, number, percent};

/// Which formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Equation {
    /// How many patches there are.
    Patches,
    /// Where a token looks.
    Attention,
    /// What reaches a token through all blocks.
    Rollout,
    /// How alike two tokens are.
    Cosine,
    /// What MAE minimises.
    Reconstruction,
    /// What the teacher answers.
    Teacher,
    /// How much the answer tells.
    Information,
    /// What a doubling brings.
    Scale,
}

/// A formula and a sentence that puts the numbers of the moment into it.
#[component]
pub(crate) fn Formula(store: Store, of: Equation) -> impl IntoView {
    let live = move || live(store, of);
    view! {
        <div class="formula">
            {math(of)}
            <p class="symbols">{texts::symbols(of)}</p>
            <p data-testid="live">{live}</p>
        </div>
    }
}

/// What a view showed last.
fn shown(store: Store, test: &str) -> Option<Shown> {
    store.shown.with(|shown| shown.get(test).cloned())
}

fn live(store: Store, of: Equation) -> Option<String> {
    match of {
        Equation::Patches => {
            let model = store.model.get()?;
            Some(texts::live_patches(model.img_size, model.patch_size, model.embed_dim))
        }
        Equation::Attention => {
            let Shown { summary, .. } = shown(store, "view-attention")?;
            let model = store.model.get()?;
            Some(texts::live_attention(model.embed_dim / model.num_heads.max(1), &percent(summary.max)))
        }
        Equation::Rollout => {
            let on_patches = shown(store, "view-attention")?.summary.on_patches?;
            Some(texts::live_rollout(&percent(on_patches)))
        }
        Equation::Cosine => {
            let Shown { summary, .. } = shown(store, "view-similarity")?;
            Some(texts::live_cosine(&number(summary.min), &number(summary.max)))
        }
        Equation::Reconstruction => {
            let [hidden, all] = store.rooms.mask.count();
            let loss = store.rooms.mask.result.get()?.loss?;
            Some(texts::live_loss(hidden, all, &number(loss)))
        }
        Equation::Teacher => {
            let answers = store.rooms.learn.answers.get()?;
            Some(texts::live_teacher(&number(answers.each as f32)))
        }
        Equation::Information => {
            let answers = store.rooms.learn.answers.get()?;
            let told = answers.mean - answers.each;
            Some(texts::live_information(
                &number(answers.mean as f32),
                &number(answers.each as f32),
                &number(told as f32),
            ))
        }
        Equation::Scale => Some(texts::LIVE_SCALE.to_owned()),
    }
}

fn math(of: Equation) -> AnyView {
    match of {
        Equation::Patches => view! {
            <math display="block">
                <mi>"N"</mi><mo>"="</mo>
                <msup><mrow><mo>"("</mo><mi>"S"</mi><mo>"/"</mo><mi>"P"</mi><mo>")"</mo></mrow><mn>"2"</mn></msup>
            </math>
        }
        .into_any(),
        Equation::Attention => view! {
            <math display="block">
                <msub><mi>"a"</mi><mi>"j"</mi></msub><mo>"="</mo>
                <msub><mi>"softmax"</mi><mi>"j"</mi></msub>
                <mrow>
                    <mo>"("</mo>
                    <mfrac>
                        <mrow><mi>"q"</mi><mo>"·"</mo><msub><mi>"k"</mi><mi>"j"</mi></msub></mrow>
                        <msqrt><mi>"d"</mi></msqrt>
                    </mfrac>
                    <mo>")"</mo>
                </mrow>
            </math>
        }
        .into_any(),
        Equation::Rollout => view! {
            <math display="block">
                <mi>"R"</mi><mo>"="</mo>
                <msub><mi>"Â"</mi><mi>"L"</mi></msub><mo>"…"</mo><msub><mi>"Â"</mi><mn>"1"</mn></msub>
                <mo>","</mo><mspace width="0.8em"></mspace>
                <mi>"Â"</mi><mo>"="</mo><mn>"½"</mn><mi>"A"</mi><mo>"+"</mo><mn>"½"</mn><mi>"I"</mi>
            </math>
        }
        .into_any(),
        Equation::Cosine => {
            let length = |of: &'static str| {
                view! { <mrow><mo stretchy="false">"‖"</mo><mi>{of}</mi><mo stretchy="false">"‖"</mo></mrow> }
            };
            view! {
                <math display="block">
                    <mrow>
                        <mi>"cos"</mi><mo stretchy="false">"("</mo><mi>"s"</mi><mo>","</mo><mi>"t"</mi>
                        <mo stretchy="false">")"</mo>
                    </mrow>
                    <mo>"="</mo>
                    <mfrac>
                        <mrow><mi>"s"</mi><mo>"·"</mo><mi>"t"</mi></mrow>
                        <mrow>{length("s")}{length("t")}</mrow>
                    </mfrac>
                </math>
            }
            .into_any()
        }
        Equation::Reconstruction => view! {
            <math display="block">
                <mi>"L"</mi><mo>"="</mo>
                <mfrac>
                    <mn>"1"</mn>
                    <mrow><mo stretchy="false">"|"</mo><mi>"M"</mi><mo stretchy="false">"|"</mo></mrow>
                </mfrac>
                <munder><mo>"∑"</mo><mrow><mi>"i"</mi><mo>"∈"</mo><mi>"M"</mi></mrow></munder>
                <mspace width="0.35em"></mspace>
                <mfrac><mn>"1"</mn><mrow><mn>"3"</mn><msup><mi>"P"</mi><mn>"2"</mn></msup></mrow></mfrac>
                <msup>
                    <mrow>
                        <mo>"‖"</mo><msub><mover><mi>"x"</mi><mo>"^"</mo></mover><mi>"i"</mi></msub>
                        <mo>"−"</mo><msub><mi>"x"</mi><mi>"i"</mi></msub><mo>"‖"</mo>
                    </mrow>
                    <mn>"2"</mn>
                </msup>
            </math>
        }
        .into_any(),
        Equation::Teacher => view! {
            <math display="block">
                <mi>"P"</mi><mo>"="</mo><mi>"softmax"</mi>
                <mrow>
                    <mo>"("</mo>
                    <mfrac><mrow><mi>"g"</mi><mo>"−"</mo><mi>"c"</mi></mrow><mi>"τ"</mi></mfrac>
                    <mo>")"</mo>
                </mrow>
            </math>
        }
        .into_any(),
        Equation::Information => view! {
            <math display="block">
                <mi>"I"</mi><mo>"="</mo><mi>"H"</mi><mo>"("</mo><mover><mi>"P"</mi><mo>"¯"</mo></mover><mo>")"</mo>
                <mo>"−"</mo>
                <mover><mrow><mi>"H"</mi><mo>"("</mo><mi>"P"</mi><mo>")"</mo></mrow><mo>"¯"</mo></mover>
            </math>
        }
        .into_any(),
        Equation::Scale => view! {
            <math display="block">
                <mi>"score"</mi><mo>"="</mo><mi>"a"</mi><mo>"+"</mo><mi>"b"</mi><mspace width="0.2em"></mspace>
                <msub><mi>"log"</mi><mn>"10"</mn></msub><mspace width="0.2em"></mspace><mi>"parameters"</mi>
            </math>
        }
        .into_any(),
    }
}
