//! The simulated PLC's connection: reads all that the line says, writes all that the PLC says, each in one request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, Reader, Writer, tcp};

use super::PATIENCE;
use crate::io::modbus::map::{self, INPUTS, OUTPUTS};
use crate::io::signals::{Heard, Said};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Wire {
    address: SocketAddr,
    context: Context,
    /// What the line was told last.
    told: Option<[u16; INPUTS]>,
}

impl Wire {
    /// Tries until the line answers.
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Wire> {
        let until = Instant::now() + PATIENCE;
        loop {
            match timeout(ANSWER, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(Wire { address, context: tcp::attach(stream), told: None });
                }
                Ok(Err(error)) if Instant::now() >= until => {
                    return Err(error).with_context(|| format!("no line answers at {address}: does one run there?"));
                }
                Err(_) if Instant::now() >= until => bail!("no line answers at {address}: does one run there?"),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Lets go of the connection as a pulled cable does, and comes back after a while.
    pub(super) async fn drop_for(&mut self, while_: Duration) -> anyhow::Result<()> {
        // Told to nobody: the old connection is gone with its context.
        let _ = self.context.disconnect().await;
        tokio::time::sleep(while_).await;
        *self = Wire::connect(self.address).await?;
        Ok(())
    }

    /// What the line says.
    pub(super) async fn read(&mut self) -> anyhow::Result<Said> {
        let asked = self.context.read_input_registers(0, OUTPUTS as u16);
        let registers = timeout(ANSWER, asked).await.context("the line does not answer")??;
        let registers = registers.context("the line refuses to be read")?;
        let registers: [u16; OUTPUTS] = registers.try_into().ok().context("too few registers")?;
        map::understood(&registers).with_context(|| format!("there is no verdict {}", registers[9]))
    }

    /// What the PLC says, where that has changed.
    pub(super) async fn write(&mut self, heard: &Heard) -> anyhow::Result<()> {
        let registers = map::to_say(heard);
        if self.told == Some(registers) {
            return Ok(());
        }
        let told = self.context.write_multiple_registers(0, &registers);
        timeout(ANSWER, told).await.context("the line does not answer")??.context("the line refuses to be told")?;
        self.told = Some(registers);
        Ok(())
    }
}
