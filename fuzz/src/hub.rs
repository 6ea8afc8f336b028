//! What clients and the program do with a hub, in any order, against a model that is slow and plain.

mod model;
mod peer;
mod play;

use lapwing_memory::Virtual;

use self::play::Play;

/// Operations of one script: so many that no rate and no lane reaches its bound.
const OPERATIONS_MAX: usize = 100;

/// Plays a script of operations, three bytes each; after each of them everybody has heard what the model says.
pub fn hub(script: &[u8]) {
    let sim = Virtual::new(1);
    let played = sim.run(async {
        let mut play = Play::new(&sim);
        for operation in script.chunks_exact(3).take(OPERATIONS_MAX) {
            play.step([operation[0], operation[1], operation[2]]).await;
            play.check();
        }
        play.end().await;
    });
    played.expect("nobody waits for ever");
}
