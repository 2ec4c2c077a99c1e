//! SIGINT, SIGTERM and SIGHUP: the first ends collection, the second ends the program.

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{FAILED, live, output};

/// Says when collection is to end.
pub struct Stop {
    requested: watch::Receiver<bool>,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the signals cannot be caught.
    pub fn listen() -> Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        let mut signals = [
            catch(SignalKind::interrupt())?,
            catch(SignalKind::terminate())?,
            catch(SignalKind::hangup())?,
        ];
        let (request, requested) = watch::channel(false);
        tokio::spawn(async move {
            any(&mut signals).await;
            // The receiver is gone only when the program ends anyway.
            let _ = request.send(true);
            any(&mut signals).await;
            live::restore();
            output::release();
            output::tell(
                "interrupted twice, leaving at once; \
                 the report of the last interval is in --output, if that was given",
            );
            output::settle(output::PATIENCE);
            std::process::exit(i32::from(FAILED));
        });
        Ok(Self { requested })
    }

    /// Ends at the first signal.
    pub async fn requested(&mut self) {
        if self
            .requested
            .wait_for(|requested| *requested)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

async fn any([interrupt, terminate, hang_up]: &mut [Signal; 3]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}
