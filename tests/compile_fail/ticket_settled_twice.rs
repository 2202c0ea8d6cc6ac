// expect: E0382 use of moved value: `ticket`
// A delivery is settled once.
use nakatsugi::relay::ports::Ticket;
pub fn settle<T: Ticket>(ticket: T) {
    ticket.ack();
    ticket.wait();
}
