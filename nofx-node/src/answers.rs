//! How answers get back to JavaScript: through one function for all calls.
//!
//! A promise that a thread can settle needs a threadsafe function of its own, and creating one takes longer than most calls. So JavaScript
//! numbers its calls, keeps their promises, and settles them when this reports a number with its answer.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::{FnArgs, Function, spawn};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use nofx::Error;

use crate::failure::guarded;
use crate::text::{JsText, can_lend};

/// The number of a call, whether it failed, and its answer: texts, or the failure as JSON.
type Answer = (u32, bool, Vec<JsText>);
type Arguments = FnArgs<(u32, bool, Vec<JsText>)>;
/// Does not keep Node running by itself.
type Tell = ThreadsafeFunction<Answer, (), Arguments, Status, false, true, 0>;

/// The function that receives the answers of calls.
#[napi]
pub struct Answers {
    tell: Arc<Mutex<Tell>>,
    /// How long a text of JavaScript can be, in UTF-16 units.
    longest: usize,
    can_lend: bool,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

#[napi]
impl Answers {
    /// Creates the way back to a function, which must not throw. A longer text than `longest` cannot be made, and is reported as a failure:
    /// an error on the way to the function would end the process.
    #[napi(constructor)]
    pub fn make(
        env: &Env,
        #[napi(ts_arg_type = "(call: number, failed: boolean, texts: string[]) => void")] tell: Function<
            '_,
            Arguments,
            (),
        >,
        longest: u32,
    ) -> napi::Result<Self> {
        let tell = tell.build_threadsafe_function::<Answer>().weak::<true>();
        let tell = tell.build_callback(|answer| {
            let (call, failed, texts) = answer.value;
            Ok((call, failed, texts).into())
        })?;
        Ok(Self { tell: Arc::new(Mutex::new(tell)), longest: longest as usize, can_lend: can_lend(env)? })
    }

    /// Keeps Node running, or no longer: it has to run while there are calls.
    #[napi]
    pub fn keep_running(&self, env: &Env, keeps: bool) -> napi::Result<()> {
        self.keep(env, keeps)
    }
}

impl Answers {
    #[expect(deprecated, reason = "clones, which are advised instead, keep the function but not Node")]
    fn keep(&self, env: &Env, keeps: bool) -> napi::Result<()> {
        let mut tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner);
        if keeps { tell.refer(env) } else { tell.unref(env) }
    }

    /// Carries out a call on another thread, and reports its answer.
    pub(crate) fn answer(&self, call: u32, asked: impl Future<Output = nofx::Result<Vec<String>>> + Send + 'static) {
        let (tell, longest, can_lend) = (self.tell.clone(), self.longest, self.can_lend);
        let asked = async move {
            let texts = asked.await?;
            match texts.iter().all(|text| is_within(text, longest)) {
                true => Ok(texts),
                false => {
                    Err(Error::invalid(format!("the answer is a text of more than {longest} characters; ask for less")))
                }
            }
        };
        spawn(async move {
            let (failed, texts) = match guarded(asked).await {
                Ok(texts) => (false, texts),
                Err(failure) => (true, vec![failure.to_json()]),
            };
            let answer = (call, failed, texts.into_iter().map(|text| JsText::of(text, can_lend)).collect());
            // Fails if JavaScript has stopped; no promise is left then.
            tell.lock().unwrap_or_else(PoisonError::into_inner).call(answer, ThreadsafeFunctionCallMode::NonBlocking);
        });
    }
}

fn is_within(text: &str, longest: usize) -> bool {
    text.len() <= longest || text.encode_utf16().count() <= longest
}
