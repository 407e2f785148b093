"""Word lists of the builtin pool's small world; every row is `name value ...`, rows end at a semicolon."""

from __future__ import annotations


def rows(text: str) -> tuple[tuple[str, ...], ...]:
    """Split "a b; c d" into (("a", "b"), ("c", "d"))."""
    return tuple(tuple(row.split()) for row in text.replace("\n", " ").split(";") if row.strip())


# country, capital, continent, language
COUNTRIES = rows("""
France Paris Europe French; Japan Tokyo Asia Japanese; Egypt Cairo Africa Arabic;
Italy Rome Europe Italian; Spain Madrid Europe Spanish; Germany Berlin Europe German;
Portugal Lisbon Europe Portuguese; Greece Athens Europe Greek; Poland Warsaw Europe Polish;
Norway Oslo Europe Norwegian; Austria Vienna Europe German; Ireland Dublin Europe English;
Turkey Ankara Asia Turkish; Iran Tehran Asia Persian; China Beijing Asia Chinese;
Thailand Bangkok Asia Thai; Vietnam Hanoi Asia Vietnamese; Iraq Baghdad Asia Arabic;
Kenya Nairobi Africa Swahili; Ghana Accra Africa English; Nigeria Abuja Africa English;
Senegal Dakar Africa French; Morocco Rabat Africa Arabic; Angola Luanda Africa Portuguese;
Canada Ottawa America English; Cuba Havana America Spanish; Peru Lima America Spanish;
Chile Santiago America Spanish; Brazil Brasilia America Portuguese; Jamaica Kingston America English;
Hungary Budapest Europe Hungarian; Sweden Stockholm Europe Swedish
""")

ANTONYMS = rows("""
hot cold; big small; fast slow; happy sad; open closed; light dark; early late; easy hard; full empty;
rich poor; young old; high low; long short; wet dry; clean dirty; strong weak; thick thin; wide narrow;
loud quiet; sharp blunt; sweet bitter; near far; above below; push pull; buy sell; give take; win lose;
love hate; laugh cry; smooth rough; tight loose; deep shallow; left right; day night; cheap expensive;
soft solid
""")

SYNONYMS = rows("""
big large; small little; fast quick; happy glad; smart clever; begin start; end finish; speak talk;
shout yell; hard difficult; easy simple; angry mad; scared afraid; tired sleepy; rich wealthy; ill sick;
pretty beautiful; strange odd; funny amusing; quiet silent; gift present; stone rock; jump leap;
choose pick; fix repair; help assist; build construct; whole entire; huge giant; ocean sea; child kid;
job work; money cash; boat ship
""")

PLURALS = rows("""
cat cats; dog dogs; box boxes; child children; man men; woman women; mouse mice; foot feet; tooth teeth;
goose geese; leaf leaves; knife knives; wolf wolves; city cities; baby babies; story stories; bus buses;
glass glasses; dish dishes; watch watches; potato potatoes; hero heroes; book books; tree trees;
house houses; river rivers; car cars; bird birds; chair chairs; key keys; toy toys; fox foxes;
party parties; lady ladies; loaf loaves; person people
""")

PASTS = rows("""
go went; see saw; eat ate; run ran; come came; take took; give gave; make made; write wrote; speak spoke;
drive drove; sing sang; swim swam; drink drank; break broke; buy bought; bring brought; think thought;
catch caught; teach taught; sell sold; tell told; find found; keep kept; sleep slept; leave left;
lose lost; feel felt; win won; fly flew; grow grew; know knew; draw drew; build built; walk walked;
play played
""")

COLOURS = rows("""
snow white; grass green; coal black; blood red; gold yellow; milk white; tomatoes red; bananas yellow;
spinach green; chocolate brown; carrots orange; pumpkins orange; lemons yellow; strawberries red;
cucumbers green; cherries red; salt white; soot black; tar black; rubies red; sapphires blue; mud brown;
coffee brown; limes green; frogs green; flamingos pink; ravens black; canaries yellow; swans white;
oceans blue; peas green; rice white; tangerines orange; bears brown; violets purple; plums purple
""")

# animal, sound, baby, home
ANIMALS = rows("""
dog bark puppy kennel; cat meow kitten basket; cow moo calf barn; sheep bleat lamb fold;
pig oink piglet sty; horse neigh foal stable; lion roar cub den; duck quack duckling pond;
hen cluck chick coop; owl hoot owlet hollow; frog croak tadpole swamp; goat maa kid shed;
bear growl whelp cave; bee buzz larva hive; snake hiss snakelet burrow; wolf howl pup lair;
elephant trumpet jumbo savanna; donkey bray colt paddock; turkey gobble poult yard; swan honk cygnet lake;
eagle screech eaglet nest; mouse squeak pinkie hole; deer bellow fawn forest;
kangaroo chatter joey grassland
""")

SPANISH = rows("""
house casa; dog perro; cat gato; water agua; bread pan; book libro; sun sol; moon luna; night noche;
day dia; friend amigo; school escuela; table mesa; chair silla; door puerta; window ventana; milk leche;
apple manzana; tree arbol; flower flor; sea mar; river rio; fire fuego; hand mano; head cabeza;
heart corazon; red rojo; green verde; white blanco; black negro; city ciudad; street calle; train tren;
bird pajaro; fish pescado; horse caballo
""")

CATEGORIES = rows("""
apple fruit; banana fruit; pear fruit; grape fruit; peach fruit; mango fruit; carrot vegetable;
onion vegetable; cabbage vegetable; leek vegetable; dog animal; horse animal; tiger animal; rabbit animal;
camel animal; hammer tool; saw tool; drill tool; chisel tool; piano instrument; violin instrument;
flute instrument; drum instrument; shirt garment; coat garment; skirt garment; scarf garment;
jacket garment; car vehicle; bus vehicle; bicycle vehicle; truck vehicle; rose flower; tulip flower;
daisy flower; lily flower; iron metal; copper metal; silver metal; zinc metal; chair furniture;
sofa furniture; desk furniture; wardrobe furniture
""")

# job, place of work, tool
JOBS = rows("""
doctor hospital stethoscope; teacher school chalk; baker bakery oven; farmer farm tractor;
chef kitchen knife; judge court gavel; pilot cockpit headset; sailor ship rope; priest church bible;
actor theatre script; librarian library catalogue; miner mine pickaxe; banker bank calculator;
soldier barracks rifle; gardener garden spade; scientist laboratory microscope; mechanic garage wrench;
barber barbershop scissors; butcher market cleaver; painter studio brush;
astronomer observatory telescope; carpenter workshop hammer; waiter restaurant tray;
tailor boutique needle; firefighter station hose; clerk office stapler; lifeguard beach whistle;
zookeeper zoo bucket
""")

COMPARATIVES = rows("""
tall taller; small smaller; big bigger; hot hotter; happy happier; easy easier; good better; bad worse;
fast faster; old older; young younger; thin thinner; heavy heavier; light lighter; early earlier;
late later; rich richer; poor poorer; busy busier; noisy noisier; strong stronger; weak weaker;
cold colder; warm warmer; far farther; near nearer; large larger; wide wider; sad sadder; brave braver;
clean cleaner; dirty dirtier; funny funnier; long longer; short shorter; loud louder
""")

MATERIALS = rows("""
windows glass; tyres rubber; coins metal; newspapers paper; sweaters wool; shirts cotton; bricks clay;
statues marble; candles wax; shoes leather; tables wood; swords steel; envelopes paper; bottles glass;
ropes hemp; rings gold; forks silver; barrels oak; mirrors glass; saddles leather; pencils wood;
mittens wool; vases porcelain; ties silk; cans tin; wires copper; jeans denim; books paper; tents canvas;
wheels rubber
""")

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
NOUNS = (
    "apple",
    "bridge",
    "candle",
    "desk",
    "engine",
    "flag",
    "guitar",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "lamp",
    "mirror",
    "needle",
    "orange",
    "pencil",
    "queen",
    "river",
    "spoon",
    "table",
    "umbrella",
    "violin",
    "wagon",
    "basket",
    "tiger",
    "doctor",
    "garden",
    "window",
    "button",
    "cloud",
    "dragon",
    "feather",
    "market",
    "puppet",
    "rocket",
    "saddle",
    "tunnel",
    "valley",
    "whistle",
    "yogurt",
)
REVIEWED = (
    "soup",
    "film",
    "hotel",
    "book",
    "concert",
    "coffee",
    "phone",
    "train ride",
    "cake",
    "game",
    "teacher",
    "room",
    "song",
    "walk",
    "service",
    "show",
)
PRAISE = (
    "wonderful",
    "delightful",
    "excellent",
    "superb",
    "charming",
    "lovely",
    "brilliant",
    "fantastic",
    "pleasant",
    "perfect",
)
BLAME = (
    "terrible",
    "awful",
    "boring",
    "dreadful",
    "horrible",
    "disappointing",
    "dull",
    "nasty",
    "poor",
    "unpleasant",
)
ONES = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_words(n: int) -> str:
    """0 to 99 in words: 42 -> "forty-two"."""
    if n < 20:
        return ONES[n]
    return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def roman(n: int) -> str:
    """1 to 99 in Roman numerals: 14 -> "XIV"."""
    text = ""
    for value, sign in (
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ):
        text += sign * (n // value)
        n %= value
    return text
