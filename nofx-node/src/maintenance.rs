//! Maintenance of a store that no program has open: repairing it, giving up what is damaged, compacting it.

use napi_derive::napi;
use nofx::json::quote;
use nofx::{Location, RecordKey, Repair, Result};

use crate::failure::guarded;
use crate::request::Request;

/// Repairs the store at a location as far as that loses nothing; answers what was done and what was left alone.
#[napi]
pub async fn repair(location: String, options: String) -> napi::Result<String> {
    let repairing = async {
        let gives_up = Request::parse(&options)?.optional("givesUp")?.unwrap_or(false);
        let repaired = nofx::repair(&location.parse()?, gives_up).await?;
        let losses = repaired.losses.iter().map(|loss| {
            let (thing, what) = (quote(&loss.thing), quote(&loss.what));
            format!(r#"{{"thing":{thing},"what":{what}}}"#)
        });
        let losses: Vec<_> = losses.collect();
        Ok(format!(r#"{{"repairs":{},"losses":[{}]}}"#, to_json(&repaired.repairs), losses.join(",")))
    };
    Ok(guarded(repairing).await?)
}

/// Gives up records that cannot be read; answers what was done.
#[napi]
pub async fn forget(location: String, request: String) -> napi::Result<String> {
    let forgetting = async {
        let keys = Request::parse(&request)?.each("records")?;
        let keys = keys.iter().map(|key| RecordKey::new(nofx::Kind::new(key.text("kind")?)?, key.text("id")?));
        let keys: Vec<_> = keys.collect::<Result<_>>()?;
        Ok(to_json(&nofx::forget(&location.parse()?, &keys).await?))
    };
    Ok(guarded(forgetting).await?)
}

/// Compacts the store at a location; answers whether this kind of store can be compacted.
#[napi]
pub async fn compact(location: String) -> napi::Result<bool> {
    let compacting = async {
        let location: Location = location.parse()?;
        nofx::compact(&location).await
    };
    Ok(guarded(compacting).await?)
}

fn to_json(repairs: &[Repair]) -> String {
    let repairs = repairs.iter().map(|repair| {
        let (thing, what) = (quote(&repair.thing), quote(&repair.what));
        let aside = repair.aside.as_deref().map_or("null".to_owned(), quote);
        format!(r#"{{"thing":{thing},"what":{what},"aside":{aside}}}"#)
    });
    format!("[{}]", repairs.collect::<Vec<_>>().join(","))
}
