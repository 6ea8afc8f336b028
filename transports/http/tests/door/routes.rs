//! Answers of the program itself.

use super::*;

#[test]
fn a_program_answers_what_is_asked_on_paths_of_its_own() {
    check(|addr| {
        let post = |length: usize, more: &str| {
            let body = "x".repeat(length);
            let head = format!("POST /length HTTP/1.1\r\n{HOST}\r\n{more}Connection: close");
            let request = format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}");
            Answer::read(&say(addr, &request))
        };
        assert_eq!(post(5, "").body, "5");
        assert_eq!(post(1 << 20, "").body, "1048576");
        assert_eq!(post((1 << 20) + 1, "").status, 413);
        assert_eq!(post(5, "Host: other\r\n").status, 400);
        assert_eq!(ask(addr, "GET /length", &[]).body, "0");
        assert_eq!(ask(addr, "GET /length/", &[]).status, 404);
    });
}

#[test]
fn bodies_for_the_program_have_a_bound_together() {
    const LARGE: usize = 1 << 20;
    const SMALL: usize = 32 << 10;
    let post = |length: usize, body: usize| {
        let head = format!("POST /length HTTP/1.1\r\n{HOST}\r\nConnection: close");
        let body = "x".repeat(body);
        format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    check(|addr| {
        let one_byte_short = |length| {
            let mut socket = TcpStream::connect(addr).expect("somebody listens");
            let request = post(length, length - 1);
            socket.write_all(request.as_bytes()).expect("it listens");
            socket
        };
        let whole = || Answer::read(&say(addr, &post(2 * SMALL, 2 * SMALL))).status;
        let mut waiting: Vec<_> = (0..63).map(|_| one_byte_short(LARGE)).collect();
        while whole() != 503 {
            assert!(waiting.len() < 500, "so much is not bounded");
            waiting.push(one_byte_short(SMALL));
        }
        assert_eq!(ask(addr, "GET /length", &[]).body, "0", "it brings nothing");
        drop(waiting);
        let mut tries = 0..10_000;
        assert!(tries.any(|_| whole() == 200), "they have gone");
    });
}
