mod dane;
mod handshake;
mod judgement;
mod resumption;
mod settings;
