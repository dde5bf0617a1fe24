exception Missing { 1: string what }

service Shop {
  string order(1: string card, 2: i32 amount),
  void ping(),
  string find(1: string key) throws (1: Missing missing),
  string broken(1: string note),
  string slow(1: i32 milliseconds),
  oneway void note(1: string text),
}

service Wider extends Shop {
  string absent(1: string key),
}
