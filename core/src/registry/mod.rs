//! Who is here: connections, users, groups and subscriptions, as plain data without locks.
