mod dane_table;
mod handshake;
mod judgement;
mod resumption;
mod settings;
