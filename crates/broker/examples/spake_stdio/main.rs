//! The SPAKE service over standard input and output, one JSON object a line: no socket, no token.
//!
//! ```text
//! {"method":"POST","path":"/spake/initiate","body":{"session_id":"s","password":"p"}}
//! {"status":200,"body":{...}}
//! ```
//!
//! For trying the cryptography and for tests of clients. The service itself is `durward spake serve`.

mod serve;

use std::io;

fn main() -> io::Result<()> {
    serve::serve(io::stdin().lock(), io::stdout().lock())
}
