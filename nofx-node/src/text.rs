//! Texts on their way to JavaScript.
//!
//! V8 copies a text into its own heap, on JavaScript's thread, and collects it there. A long text is lent to it instead: V8 reads it where
//! it was written, and says when nothing needs it any more. Reading 10,000 messages takes a third less time like that.
//!
//! This is the only module with `unsafe`: Node-API has no safe function for it that Node 18.15 could also do without.
#![expect(unsafe_code, reason = "Node-API is a C interface")]

use std::ffi::c_void;
use std::ptr;

use napi::bindgen_prelude::{Latin1String, ToNapiValue, check_status};
use napi::{Env, Result};
use napi_sys as sys;

/// Shorter texts are copied, which then takes less time than lending.
const SHORT: usize = 16 << 10;

/// A text for JavaScript, prepared on another thread so that little is left to do on JavaScript's own.
#[derive(Debug)]
pub enum JsText {
    /// ASCII, to copy.
    Ascii(String),
    /// Any other text, to transcode, which takes several times as long as copying.
    Other(String),
    /// ASCII, to lend.
    LentAscii(Lent<u8>),
    /// Any other text, to lend as UTF-16.
    LentUtf16(Lent<u16>),
}

impl JsText {
    /// Prepares a text. It is lent if it is long and this Node [can](can_lend) do that.
    pub(crate) fn of(text: String, can_lend: bool) -> Self {
        match (text.is_ascii(), can_lend && text.len() >= SHORT) {
            (true, true) => Self::LentAscii(Lent(text.into_bytes())),
            (false, true) => Self::LentUtf16(Lent(text.encode_utf16().collect())),
            (true, false) => Self::Ascii(text),
            (false, false) => Self::Other(text),
        }
    }
}

/// The units of a text, owned by V8 once it is lent.
#[derive(Debug)]
pub struct Lent<T>(Vec<T>);

/// Returns whether this Node can borrow texts: since 18.18 and 20.4. Older ones lack the functions.
pub(crate) fn can_lend(env: &Env) -> Result<bool> {
    let node = env.get_node_version()?;
    Ok(matches!((node.major, node.minor), (18, 18..) | (20, 4..) | (21.., _)))
}

/// A function of Node-API that borrows a text in units of `T`.
type Lend<T> = unsafe fn(
    sys::napi_env,
    *const T,
    isize,
    sys::node_api_basic_finalize,
    *mut c_void,
    *mut sys::napi_value,
    *mut bool,
) -> sys::napi_status;

impl<T> Lent<T> {
    fn lend(self, env: sys::napi_env, lend: Lend<T>) -> Result<sys::napi_value> {
        let (start, length) = (self.0.as_ptr(), self.0.len() as isize);
        let owner = Box::into_raw(Box::new(self.0));
        let (mut value, mut is_copied) = (ptr::null_mut(), false);
        // SAFETY: `env` is that of the thread that this runs on, as the caller is `to_napi_value`. The units stay where they are until
        // `free` is called with their owner, exactly once: when V8 no longer needs them, or at once if it copies them.
        let status = unsafe { lend(env, start, length, Some(free::<T>), owner.cast(), &mut value, &mut is_copied) };
        if status != sys::Status::napi_ok {
            // SAFETY: after a failure Node does not call `free`, so this is the only owner.
            drop(unsafe { Box::from_raw(owner) });
        }
        check_status!(status, "a text cannot be lent to V8")?;
        Ok(value)
    }
}

/// Frees the units of a text that V8 no longer needs.
unsafe extern "C" fn free<T>(_: sys::node_api_basic_env, _: *mut c_void, owner: *mut c_void) {
    // SAFETY: `owner` is what `lend` passed, and Node calls this once for it.
    drop(unsafe { Box::from_raw(owner.cast::<Vec<T>>()) });
}

impl ToNapiValue for JsText {
    unsafe fn to_napi_value(env: sys::napi_env, text: Self) -> Result<sys::napi_value> {
        match text {
            // SAFETY: the caller passes the environment of the thread that this runs on.
            Self::Ascii(text) => unsafe { Latin1String::to_napi_value(env, text.into()) },
            // SAFETY: as above.
            Self::Other(text) => unsafe { String::to_napi_value(env, text) },
            Self::LentAscii(text) => text.lend(env, |env, start, length, free, owner, value, is_copied| {
                // SAFETY: `Lent::lend` passes what the function needs; it only adds the type of C.
                unsafe {
                    sys::node_api_create_external_string_latin1(
                        env,
                        start.cast(),
                        length,
                        free,
                        owner,
                        value,
                        is_copied,
                    )
                }
            }),
            Self::LentUtf16(text) => text.lend(env, sys::node_api_create_external_string_utf16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_are_lent_and_only_if_node_can_borrow_them() {
        let (short, long) = ("a".repeat(SHORT - 1), "a".repeat(SHORT));
        assert!(matches!(JsText::of(short, true), JsText::Ascii(_)));
        assert!(matches!(JsText::of(long.clone(), false), JsText::Ascii(_)));
        assert!(matches!(JsText::of(long, true), JsText::LentAscii(Lent(units)) if units.len() == SHORT));
        let other = "漢".repeat(SHORT);
        assert!(matches!(JsText::of(other.clone(), false), JsText::Other(_)));
        assert!(matches!(JsText::of(other, true), JsText::LentUtf16(Lent(units)) if units.len() == SHORT));
    }
}
