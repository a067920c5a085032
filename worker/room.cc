// Marks the room until its first source lands.
