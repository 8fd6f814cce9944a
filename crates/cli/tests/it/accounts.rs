//! Accounts as people and devices use them: the server, the command line, curl, nginx, npm's OPAQUE client.

mod attacks;
mod keys;
mod pages;
mod peers;
mod schema;
mod serving;
