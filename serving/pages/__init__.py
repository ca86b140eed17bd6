"""Pages for people: the queue, the visit sheet, the way back; server-rendered, in Chinese and English."""
