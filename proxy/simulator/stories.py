"""The short stories that `sim-story` tells, each about 200 tokens long."""

_LIGHTHOUSE = """\
The lighthouse keeper had not spoken to anyone for forty days, so when the parrot arrived \
she was ready to be polite. “Good evening,” she said. “Good evening,” said the parrot, and \
shook the rain from its feathers. It had flown from a ship which had, it explained, too many \
opinions and not enough biscuits.

They agreed on terms. The parrot would call out the ships by name, and the keeper would share \
her supper. On the first night it shouted at every passing cloud; on the second it learned to \
wait for masts; on the third it saw a small boat that the lamp had missed, and cried until \
the keeper ran down with a rope.

The man in the boat was a baker, soaked to the bone and very grateful. He stayed until the \
weather cleared and left them a recipe. Since then, sailors say, there is a light on that \
coast that smells of cinnamon, and a voice above it that asks each ship, quite kindly, \
whether it has remembered the biscuits."""

_ROBOT = """\
In the café by the station there was a robot whose only task was to carry cups from the \
counter to the tables. It did so eleven hundred times a day, and it never spilled a drop. One \
morning, however, it stopped halfway and looked out of the window. Snow was falling.

“Is something broken?” asked the waiter. “No,” said the robot. “I am counting.” It had reached \
four thousand flakes before the coffee was cold. The waiter, who had a bus to catch at six and \
nothing else to hope for, put down his tray and began to count the left half of the window.

By noon every guest was counting. They compared their sums, argued, laughed, and started \
again. Nobody ordered much, yet nobody wanted to leave. When the owner came, furious, she \
found the till nearly empty and the room full of friends. She stood still for a moment. Then \
she took a chair, chose a pane of glass, and said: “Very well. Where do I begin?”"""

_CLOCK = """\
The oldest clock in the village was eight minutes late, and everybody loved it for that. The \
school began eight minutes late, the soup was served eight minutes late, and the train, which \
belonged to the outside world, was missed by everyone who tried to take it.

One spring a clever engineer climbed the tower with a bag of tools. She cleaned the wheels, \
oiled the chain and set the hands exactly right. That night the village could not sleep. The \
dogs were confused; the cheese came out too young; two people who always met by accident at \
the fountain walked past each other, one after the other, and did not know why they felt sad.

In the morning the engineer saw what she had done. She went up again, without her tools this \
time, and asked the clock what it needed. It ticked for a while. Then she leaned on the great \
hand, gently, until it had given back its eight minutes; and below, at the fountain, somebody \
said: “Oh! It's you.”"""

STORIES: tuple[str, ...] = (_LIGHTHOUSE, _ROBOT, _CLOCK)
